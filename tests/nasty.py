"""Random texts of everything that goes wrong in tokenizers and on screens."""

from __future__ import annotations

import random

# What goes wrong in tokenizers: words and spaces, lone surrogates, combining marks, emoji sequences, NUL, controls,
# right-to-left, marks of direction, 4-byte characters, CJK, Hangul, ligatures, special tokens' spellings.
ATOMS = [
    *"aeioìéZ079 .,'’-_#\n\t\r\x00\x07\x1b\x7f\u0301\u0308\u200d\ufe0f\ud800\udfff\u05d0\u0645\u202e\u4e2d\uac00ﬁ½ßİ",
    *"😀👩\U0001f3fd\U0001f1ee\U00010348\U000e0041\ufffd\u00a0\u2028\u3000\u0085",
    " the", "'s", "  ", "\n\n", "Hello", "World",
    "nel mezzo", "<|endoftext|>", "[MASK]", "[UNK]", "unbelievably", "👩‍👧",
]  # fmt: skip


def texts(number: int, longest: int = 40) -> list[str]:
    """Random texts of nasty atoms, and some of any code points at all."""
    rng = random.Random(20)
    made = ["".join(rng.choices(ATOMS, k=rng.randint(0, longest))) for _ in range(number)]
    return made + ["".join(chr(rng.randrange(0x110000)) for _ in range(rng.randint(1, 20))) for _ in range(number // 2)]
