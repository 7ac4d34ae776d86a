"""Tokenizers of other people that break: bytes that are no UTF-8, regular expressions without end, missing letters."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import tinylm

from engine.encoders.find import MINILM_CONFIG, Encoder, NoEncoder
from engine.lm.generate import initial_ids
from engine.runs.events import Completed
from engine.tokenization.encoding import BackedTokenizer, NoTokenizer
from engine.tokenization.find import load
from tui.command.cli import main

CATASTROPHE = "a" * 60 + "b"
"""what ``(a|aa)+$`` backtracks on until the library panics"""


def byte_fallback(folder: Path) -> list[str]:
    """A vocabulary as Llama's: words with a space before them, and every byte. Returns its tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "▁fox", "▁è", "ing", "€"]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, [], byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    made.save(str(folder / "tokenizer.json"))
    return tokens


def catastrophic(folder: Path) -> None:
    """A tokenizer that splits by a regular expression which never ends on :data:`CATASTROPHE`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.BPE({chr(letter): letter - 32 for letter in range(32, 127)}, []))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(a|aa)+$"), "isolated")
    made.decoder = decoders.Fuse()
    made.save(str(folder / "tokenizer.json"))


def by_hand(tokens: Sequence[str], ids: Sequence[int]) -> str:
    """The text of ids, runs of byte tokens decoded by Python itself."""
    content = b""
    for number in ids:
        byte = re.fullmatch("<0x(..)>", tokens[number])
        content += bytes.fromhex(byte[1]) if byte else tokens[number].replace("▁", " ").encode()
    return content.decode("utf-8", "replace")


def test_streamed_bytes_that_are_no_text_become_the_replacement_character(tmp_path: Path) -> None:
    tokens = byte_fallback(tmp_path)
    tokenizer, rng = load(str(tmp_path)), random.Random(5)
    first = tokens.index("a")
    for _ in range(300):
        ids = [first, *(rng.randrange(3, len(tokens)) for _ in range(rng.randint(1, 12)))]
        stream = tokenizer.stream()
        pieces = [stream.step(number) for number in ids]
        assert "".join(pieces) + stream.flush() == by_hand(tokens, ids)
        assert stream.flush() == ""
    for text in ("a fox è€", "😀a ☃"):
        ids = tokenizer.encode(text).ids
        stream = tokenizer.stream()
        assert "".join(map(stream.step, ids)) + stream.flush() == tokenizer.decode(ids) == text


def test_a_model_with_byte_tokens_completes_and_compares(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tinylm.write_llama(tmp_path, vocab_size=265, bos_token_id=1, eos_token_id=2)
    tokens = byte_fallback(tmp_path)
    assert len(tokens) == 265
    lm = tinylm.load(tmp_path)
    for seed in range(5):
        events = tinylm.complete(lm, "a fox", seed=seed, top_k=0, max_new_tokens=40)
        made = [number for number in tinylm.ids(events) if number not in lm.eos]
        (last,) = (event for event in events if isinstance(event, Completed))
        assert last.text == by_hand(tokens, made)
        assert "\ufffd" in last.text
    assert main(["sweep", "a fox", "--model", str(tmp_path), "--max-new-tokens", "20", "--setting", "top-k=0"]) == 0
    assert "\ufffd" in capfd.readouterr().out


def test_a_regular_expression_without_end_is_one_clear_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tinylm.write_llama(tmp_path)
    catastrophic(tmp_path)
    tokenizer = load(str(tmp_path))
    assert tokenizer.decode(tokenizer.encode("banana").ids) == "banana"
    with pytest.raises(NoTokenizer, match=r"fails on a text .*retry-limit"):
        tokenizer.encode(CATASTROPHE)
    encoder = Encoder("theirs", "a test", MINILM_CONFIG, (), tokenizer)
    assert len(encoder.ids(["banana"], 10)) == 1
    with pytest.raises(NoEncoder, match=r"fails on a text .*retry-limit"):
        encoder.ids(["banana", CATASTROPHE], 10)
    for command in (
        ("tokenize", CATASTROPHE, "--tokenizer"),
        ("generate", CATASTROPHE, "--model"),
        ("sweep", CATASTROPHE, "--model"),
    ):
        assert main([*command, str(tmp_path)]) == 2, command
        said = capfd.readouterr().err
        assert "Traceback" not in said
        assert said.count("its tokenizer fails on a text") == 1


def test_a_comparison_tells_of_a_regular_expression_without_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, data = tmp_path / "model", tmp_path / "data.jsonl"
    model.mkdir()
    tinylm.write_llama(model)
    catastrophic(model)
    rows = [f'{{"question": "{CATASTROPHE}{row}?", "choices": ["a", "b"], "answer": {row % 2}}}' for row in range(20)]
    data.write_text("\n".join(rows).replace("b1", "b").replace("b?", "b"))
    code = main(["choose", "--data", str(data), "--method", "zero-shot", "--model", str(model)])
    said = capfd.readouterr().err
    assert (code, "Traceback" in said) == (2, False)
    assert "its tokenizer fails on a text" in said


def test_an_interrupt_is_no_panic(tmp_path: Path) -> None:
    class Interrupted:
        def encode(self, text: str, add_special_tokens: bool) -> None:
            raise KeyboardInterrupt

    catastrophic(tmp_path)
    tokenizer = load(str(tmp_path))
    assert isinstance(tokenizer, BackedTokenizer)
    tokenizer.backend = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode("a")


def test_a_vocabulary_without_the_letter_a_has_an_opening_too(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, processors

    made = Tokenizer(models.BPE({"<s>": 0, "α": 1, "β": 2}, []))
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.add_special_tokens(["<s>"])
    made.save(str(tmp_path / "tokenizer.json"))
    assert initial_ids(load(str(tmp_path))) == [0]


def without_unknown(folder: Path, letters: str, **parts: object) -> None:
    """A BPE over ``letters`` that has no unknown token; ``parts`` are set on the tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokens = ["<s>", *letters, *(one + other for one, other in pairwise(letters))]
    merges = list(pairwise(letters))
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, part in parts.items():
        setattr(made, name, part)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.add_special_tokens(["<s>"])
    made.save(str(folder / "tokenizer.json"))


def test_characters_that_leave_no_token_are_counted(tmp_path: Path) -> None:
    letters = "αβγδε"
    without_unknown(tmp_path, letters)
    tokenizer, rng = load(str(tmp_path)), random.Random(3)
    for _ in range(300):
        text = "".join(rng.choice(letters + "xyz! ") for _ in range(rng.randint(0, 12)))
        encoding = tokenizer.encode(text)
        assert encoding.lost == tuple(at for at, one in enumerate(text) if one not in letters and one != " ")
        kept = "".join(tokenizer.token(number) for number in encoding.ids)
        assert kept == "".join(one for one in text if one in letters)
    assert tokenizer.encode("α<s>x").lost == (4,)


@pytest.mark.parametrize(
    ("normalizer", "text", "lost"),
    [
        ("NFC", "e\u0301 a", ""),
        ("NFC", "a\u0301x", "x"),
        ("NFC", "\u1100\u1161\u11a8 a", ""),
        ("StripAccents", "e\u0301", ""),
        ("Lowercase", "AE", ""),
        ("", "a\u0301", "\u0301"),
        ("Strip", " a ", ""),
    ],
)
def test_a_mark_that_is_composed_with_its_letter_is_not_lost(
    tmp_path: Path, normalizer: str, text: str, lost: str
) -> None:
    from tokenizers import normalizers

    parts = {"normalizer": getattr(normalizers, normalizer)()} if normalizer else {}
    without_unknown(tmp_path, "aeéá각", **parts)
    encoding = load(str(tmp_path)).encode(text)
    assert "".join(text[at] for at in encoding.lost) == lost


def test_byte_level_tokens_of_a_composed_letter_lose_nothing(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    tinylm.write_tokenizer(tmp_path)
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    made.normalizer = normalizers.NFC()
    made.save(str(tmp_path / "tokenizer.json"))
    encoding = load(str(tmp_path)).encode("n\u0303o \u65e5")
    assert (encoding.starts[:3], encoding.ends[:3], encoding.lost) == ([0, 0, 2], [1, 1, 3], ())


def test_wordpiece_loses_what_its_normalizer_removes() -> None:
    tokenizer = load("wordpiece")
    text = "caffe\u0301 \x07 \u2603 \u200b late"
    encoding = tokenizer.encode(text)
    assert [text[at] for at in encoding.lost] == ["\x07", "\u200b"]
    assert [text[encoding.starts[at]] for at in encoding.unknown] == ["\u2603"]


def test_lost_characters_are_told_and_no_part_of_characters_per_token(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    without_unknown(tmp_path, "αβγ")
    tinylm.write_llama(tmp_path, vocab_size=6, bos_token_id=0, eos_token_id=None)
    without_unknown(tmp_path, "αβγ")
    assert main(["tokenize", "αβγ quick", "--tokenizer", str(tmp_path)]) == 0
    said = capfd.readouterr().out
    assert "2 tokens, 9 characters" in said
    assert "2.00 characters per token" in said  # of the four that are in tokens or white space
    assert "5 characters lost: in no token" in said
    assert main(["generate", "αβγ quick", "--model", str(tmp_path), "--max-new-tokens", "3"]) == 0
    said = capfd.readouterr().err
    assert "5 characters of the prompt are in no token of" in said
    assert "left out: 'q', 'u', 'i', 'c', 'k'" in said
    assert main(["sweep", "x αβγ", "--model", str(tmp_path), "--max-new-tokens", "3", "--setting", "greedy"]) == 0
    assert "1 character of the prompt is in no token of" in capfd.readouterr().err
