"""Nothing that a terminal acts on gets through, and nothing else is changed."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest

from tui.text import safe

DIRECTION = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = "\u200e\u200f\u061c"  # direction marks that have a letter's class
INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u2028\u2029"


def dangerous(character: str) -> bool:
    """By Unicode's own tables: controls but the line break, direction, surrogates, separators, private use."""
    return (
        (unicodedata.category(character) in ("Cc", "Cs", "Co", "Zl", "Zp") and character != "\n")
        or unicodedata.bidirectional(character) in DIRECTION
        or character in MARKS + INVISIBLE
    )


def test_no_code_point_below_0x3000_gets_through_that_should_not() -> None:
    for point in range(0x3000):
        character = chr(point)
        result = safe(f"a{character}b")
        assert result.startswith("a")
        assert result.endswith("b")
        if dangerous(character):
            assert character not in result, hex(point)
            assert len(result) > 2, hex(point)  # it is made visible, not swallowed
            assert not any(map(dangerous, result)), hex(point)
        elif unicodedata.category(character) not in ("Cf", "Cn"):
            assert result == f"a{character}b", hex(point)


@pytest.mark.parametrize("block", [(0xD800, 0xE100), (0xFE00, 0x10000), (0xE0000, 0xE0100), (0x10FF00, 0x110000)])
def test_nor_does_one_of_the_high_blocks_that_are_dangerous(block: tuple[int, int]) -> None:
    for point in range(*block):
        assert not any(map(dangerous, safe(chr(point)))), hex(point)


def test_any_string_comes_out_safe_encodable_and_stays_as_it_is_then() -> None:
    rng = random.Random(8)
    pools = [range(0x100), range(0x2000, 0x2070), range(0xD7F0, 0xE010), range(0x110000)]
    for _ in range(3000):
        text = "".join(chr(rng.choice(rng.choice(pools))) for _ in range(rng.randint(0, 12)))
        result = safe(text)
        assert not any(map(dangerous, result)), ascii(text)
        result.encode("utf-8")
        assert safe(result) == result
        assert result.count("\n") == text.count("\n")
        assert result.count("[") == text.count("[")
        one_line = safe(text, lines=False)
        assert "\n" not in one_line
        assert one_line == result.replace("\n", "⏎")


def test_markup_and_escape_sequences_become_what_they_look_like() -> None:
    assert safe("[bold]x[/bold] [link=file:///etc]y[/] \\[") == "[bold]x[/bold] [link=file:///etc]y[/] \\["
    assert safe("\x1b[2J\x1b]0;title\x07") == "␛[2J␛]0;title␇"
    assert safe("\x9b31m") == "·31m"
    assert safe("a\tb\rc\x7f") == "a    b␍c␡"
    assert safe("abc\u202egnp.exe") == "abc·gnp.exe"
    assert safe("\ud83d") == "\ufffd"


def test_verse_is_not_touched() -> None:
    verse = "«Perché mi scerpi?\nnon hai tu spirto di pietade alcuno?» — ’l ciel 漢字 🙂\n"
    assert safe(verse) == verse
    assert re.fullmatch(r"[^\n]+⏎[^\n]+⏎", safe(verse, lines=False))
