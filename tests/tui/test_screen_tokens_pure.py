"""The parts of the Tokens pane that need no screen: glyphs, the buffer, rows of any text, aligned sheets, colours."""

from __future__ import annotations

import random
import re
import unicodedata
from itertools import pairwise

import pytest
from nasty import texts
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from stage import CONTROLS, HOSTILE
from textual.strip import Strip
from workbench import python

from checkpoints import home
from engine.tokenization.encoding import Tokenizer
from engine.tokenization.find import load
from engine.tokenization.spans import Tokenized, tokenize
from tui.tokens import palette, samples, storage, token_details
from tui.tokens.aligned_text import AlignedText, Look, short
from tui.tokens.palette import HUES, colour
from tui.tokens.tokenizer_list import TokenizerEntry, TokenizerList
from tui.widgets import glyphs
from tui.widgets.buffer import Buffer
from tui.widgets.glyphs import NEWLINE, PART, Rows, columns, glyph, place, words

NAMES = ("gpt2", "wordpiece", "bundled")
SOME = [*texts(120, 60), HOSTILE, "", "\n", "\n\n", " ", "a" * 300, "word " * 90, samples.ENGLISH]


@pytest.fixture(scope="module")
def tokenizers() -> list[Tokenizer]:
    return [load(name) for name in NAMES]


def view(tokenizer: Tokenizer, text: str, before: Tokenized | None = None) -> Tokenized:
    made = tokenize(tokenizer, text, before)
    assert made is not None
    return made


def aligned(
    text: str, tokenizers: list[Tokenizer], *, width: int = 60, ids: bool = True, marks: bool = True
) -> AlignedText:
    look = Look(width, 10, ids, marks, palette.DARK)
    return AlignedText(text, [view(tokenizer, text) for tokenizer in tokenizers], NAMES, look)


def rows_of(made: AlignedText) -> list[tuple[int, int]]:
    return made.rows.down(0, 10**6)


def cells(strip: Strip, gutter: int = 10) -> list[tuple[str, Style | None]]:
    """What stands in each cell behind the gutter; the right half of a wide character is empty."""
    found: list[tuple[str, Style | None]] = []
    for segment in strip:
        for character in segment.text:
            wide = cell_len(character)
            if wide == 0 and found:
                found[-1] = (found[-1][0] + character, segment.style)
            found += [(character, segment.style), *[("", segment.style)] * (wide - 1)][: max(0, wide)]
    return found[gutter:]


# -- glyphs ---------------------------------------------------------------------------------------------------------


def test_every_glyph_has_its_width_and_nothing_a_terminal_acts_on() -> None:
    rng = random.Random(2)
    points = [*range(0x3000), *(rng.randrange(0x110000) for _ in range(20_000)), *range(0x1F1E0, 0x1F400)]
    for code in points:
        for marks in (True, False):
            shown, width = glyph(chr(code), marks)
            assert width == cell_len(shown) >= 1, hex(code)
            assert not CONTROLS.search(shown)
            assert shown.isprintable() or unicodedata.category(shown[-1]) in ("Cn", "Zs", "Cf"), hex(code)


def test_nothing_joins_two_glyphs() -> None:
    for text in ("👩\u200d👧", "👍\U0001f3fd", "🇮🇹", "e\u0301", "☃\ufe0f"):
        shown = [glyph(character)[0] for character in text]
        assert cell_len("".join(shown)) == sum(map(cell_len, shown)) == columns(text)
        assert len(shown) == len(text)


# -- the buffer -----------------------------------------------------------------------------------------------------


def test_buffer_does_what_a_list_does_and_every_change_can_be_taken_back() -> None:
    rng = random.Random(6)
    buffer, model, history = Buffer("start\ntext"), list("start\ntext"), ["start\ntext"]
    for _ in range(400):
        action = rng.choice(["type", "paste", "back", "forward", "select", "move"])
        start, end = buffer.selection
        if action in ("type", "paste"):
            text = rng.choice("ab \n") if action == "type" else "pasted\n"
            buffer.insert(text)
            model[start:end] = text
        elif action in ("back", "forward"):
            at = buffer.caret
            span = (start, end) if start < end else (max(0, at - 1), at) if action == "back" else (at, at + 1)
            buffer.delete(*((at - 1, at) if action == "back" else (at, at + 1)))
            del model[slice(*span)]
        else:
            buffer.move(rng.randint(-3, len(model) + 3), select=action == "select")
        assert buffer.text == "".join(model)
        assert 0 <= buffer.caret <= len(buffer.text)
        if buffer.text != history[-1]:
            history.append(buffer.text)
    last = buffer.text
    while buffer.undo():
        assert buffer.text in history
    assert buffer.text == history[0]
    while buffer.redo():
        pass
    assert buffer.text == last


def test_letters_typed_in_a_row_are_one_change_and_words_are_several() -> None:
    buffer = Buffer()
    for character in "two words":
        buffer.insert(character)
    steps = 0
    while buffer.undo():
        steps += 1
    assert steps == 3


def test_words_and_lines() -> None:
    buffer = Buffer("one  two\nthree")
    buffer.move(8)
    assert (buffer.word_left(), buffer.line_start(), buffer.line_end()) == (5, 0, 8)
    assert buffer.word_right() == 14
    buffer.move(0, select=True)
    assert buffer.selected == "one  two"


# -- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 7, 40])
def test_rows_hold_the_text_without_gaps(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "PIECE", 16)
    for text in SOME:
        rows = Rows(text, words(text, width))
        listed = rows.down(0, 10**6)
        assert "".join(text[start:end] for start, end in listed) == text
        assert all(columns(text[start:end].rstrip(" \n")) <= max(width, 2) for start, end in listed)
        assert [rows.before(row) for row in listed[1:]] == listed[:-1]
        assert rows.before(listed[0]) is None
        assert len(listed) >= text.count("\n") + 1
        for start, end in listed:
            assert "\n" not in text[start : end - 1]
            for offset in range(start, end):
                assert rows.at(offset) == (start, end)
        assert rows.at(len(text)) == listed[-1]


def test_a_long_line_is_not_laid_out_to_show_its_middle() -> None:
    asked: list[tuple[int, int]] = []
    text = "x" * 1_000_000

    def split(start: int, end: int) -> list[tuple[int, int]]:
        asked.append((start, end))
        return words(text, 80)(start, end)

    row = Rows(text, split).at(500_000)
    assert row[0] <= 500_000 < row[1]
    assert sum(end - start for start, end in asked) <= glyphs.PIECE


def test_places_are_found_by_column() -> None:
    text = "a中b"
    assert [place(text, 0, 3, column) for column in range(6)] == [0, 1, 1, 2, 3, 3]


# -- the aligned ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [True, False])
def test_every_character_stands_in_the_same_column_of_every_row(tokenizers: list[Tokenizer], ids: bool) -> None:
    for text in SOME:
        made = aligned(text, tokenizers, ids=ids)
        joined = ""
        for row in rows_of(made):
            strips = made.strips(row, [None] * 3)
            spans: list[Strip] = []
            line = 0
            for each in made.views:
                spans.append(strips[line] if strips else Strip([]))
                line += 1 + made.id_lines(each)
            joined += text[row[0] : row[1]]
            texts_of = [[character for character, _ in cells(strip)] for strip in spans]
            assert len(set(map(len, texts_of))) == 1
            for stack in zip(*texts_of, strict=True):
                assert len({character for character in stack if character not in (PART, " ")}) <= 1
            for offset in range(*row):
                column = next(x for x in range(300) if made.offset(row, x) == offset)
                shown = glyph(text[offset])[0]
                for line_cells in texts_of:
                    assert line_cells[column - 10] == shown[0] or line_cells[column - 10] == shown
        assert joined == text


def test_the_ids_under_the_spans_are_all_the_ids(tokenizers: list[Tokenizer]) -> None:
    for text in SOME:
        made = aligned(text, tokenizers)
        told: list[list[str]] = [[], []]
        for row in rows_of(made):
            strips = made.strips(row, [None] * 3)
            if not strips:
                continue
            told[0] += strips[1].text.split()
            told[1] += strips[3].text.split()
            assert len(strips) == 6  # none under single characters, and a blank line
        for number, each in enumerate(made.views[:2]):
            assert told[number] == [str(ident) if ident >= 0 else "?" for ident in each.ids], text


def test_a_span_is_as_wide_as_its_token_and_no_wider(tokenizers: list[Tokenizer]) -> None:
    text = "Hello World, unbelievably"
    made = aligned(text, tokenizers[:1], width=200)
    row = rows_of(made)[0]
    shown = cells(made.strips(row, [None] * 3)[0])
    coloured = "".join(character for character, style in shown if style is not None and style.bgcolor)
    assert coloured == text.replace(" ", "·")


def test_the_carets_token_is_the_bright_one_in_every_row(tokenizers: list[Tokenizer]) -> None:
    text = "Hello World"
    made = aligned(text, tokenizers)
    current = [next(token for token in each if token.start <= 8 < token.end) for each in made.views]
    strips = made.strips(rows_of(made)[0], current)
    bright = []
    for number in (0, 2, 4):
        bright.append("".join(c for c, style in cells(strips[number]) if style and style.reverse))
    assert bright == ["·World", "World", "r"]


def test_rows_stay_within_the_width(tokenizers: list[Tokenizer]) -> None:
    for width in (8, 20, 60):
        for text in SOME[::4]:
            made = aligned(text, tokenizers, width=width)
            for row in rows_of(made):
                widest = max((strip.cell_length for strip in made.strips(row, [None] * 3)), default=0)
                assert widest <= 10 + width or row[1] - row[0] == 1


def test_hostile_text_reaches_no_strip(tokenizers: list[Tokenizer]) -> None:
    made = aligned(HOSTILE + "\ud800\n\t", tokenizers)
    for row in rows_of(made):
        for strip in made.strips(row, [None] * 3):
            assert not CONTROLS.search(strip.text)
    assert NEWLINE in "".join(strip.text for row in rows_of(made) for strip in made.strips(row, [None] * 3))


def test_names_for_a_narrow_column() -> None:
    assert short("openai-community/gpt2", 9) == "gpt2"
    assert short("/some/where/a-long-name/", 9) == "a-long-n…"


# -- colours --------------------------------------------------------------------------------------------------------


def test_neighbours_differ_in_lightness_or_in_an_attribute_and_equal_tokens_share_a_hue(
    tokenizers: list[Tokenizer],
) -> None:
    for tokenizer in tokenizers:
        for text in [*SOME, "the the the the " * 60]:
            made = view(tokenizer, text)
            found = [colour(made, index) for index in range(len(made))]
            assert all(one // HUES != other // HUES for one, other in pairwise(found))
            hues = {made.id(index): place % HUES for index, place in enumerate(found)}
            assert all(hues[made.id(index)] == place % HUES for index, place in enumerate(found))
    for styles in (palette.DARK, palette.LIGHT):
        even, odd = (
            [luminance(style.bgcolor) for style in part if style.bgcolor] for part in (styles[:HUES], styles[HUES:])
        )
        assert max(even) < min(odd) or max(odd) < min(even)
        for style in styles:
            assert style.color is not None
            assert style.bgcolor is not None
            light, dark = sorted((luminance(style.color), luminance(style.bgcolor)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 7.0
    for styles in (palette.NONE, palette.SIXTEEN):
        assert not set(styles[:HUES]) & set(styles[HUES:])


def luminance(colour: Color) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [part / 255 for part in colour.get_truecolor()]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- the card and the table -----------------------------------------------------------------------------------------


def lines(strips: list[Strip]) -> str:
    return "\n".join(strip.text for strip in strips)


@pytest.fixture(scope="module")
def entries() -> list[TokenizerEntry]:
    found = [TokenizerEntry(name) for name in NAMES]
    for entry in found:
        entry.load()
        entry.learn(lambda: False)
        entry.compare(samples.ENGLISH)
    return found


def tokenizers_of(entries: list[TokenizerEntry], text: str) -> TokenizerList:
    tokenizers = TokenizerList()
    tokenizers.entries = list(entries)
    tokenizers.put(text, [view(entry.tokenizer, text) for entry in entries if entry.tokenizer])
    return tokenizers


def test_the_card_tells_what_is_true(entries: list[TokenizerEntry]) -> None:
    text = "è Hello World"
    tokenizers = tokenizers_of(entries, text)
    assert tokenizers.current is not None
    shown = lines(token_details.card(tokenizers, tokenizers.under(tokenizers.current, len(text)), 44))
    for fact in ("2159", "ĠWorld", "char 7–13", "byte 8–14", "20 57 6f 72 6c 64", "ĠW+orld→ĠWorld #1,903"):
        assert fact in shown
    assert "0 in dantesque" in shown
    tokenizers.next()
    shown = lines(token_details.card(tokenizers, tokenizers.under(tokenizers.current, 8), 44))
    assert "✓ world" in shown
    assert all(
        strip.cell_length <= 44 for strip in token_details.card(tokenizers, tokenizers.under(tokenizers.current, 8), 44)
    )


def test_the_card_of_part_of_a_code_point_and_of_the_unknown(entries: list[TokenizerEntry]) -> None:
    tokenizers = tokenizers_of(entries, "😀")
    gpt2, wordpiece, bundled = entries
    assert "part of a code point" in lines(token_details.card(tokenizers, tokenizers.under(gpt2, 0), 60))
    tokenizers.next()
    shown = lines(token_details.card(tokenizers, tokenizers.under(wordpiece, 0), 60))
    assert "not in the vocabulary" in shown
    assert "U+1F600" in shown
    tokenizers.next()
    assert "unknown" in lines(token_details.card(tokenizers, tokenizers.under(bundled, 0), 60))


def test_the_table_counts_and_compares(entries: list[TokenizerEntry]) -> None:
    tokenizers = tokenizers_of(entries, "Nel mezzo del cammin di nostra vita 😀")
    shown = lines(token_details.counts(tokenizers, "a page", 44))
    assert token_details.size_of(tokenizers) == "37 characters, 40 bytes"
    for entry in entries:
        assert entry.view is not None
        assert entry.tokenizer is not None
        counts = entry.view.counts
        english = entry.tokenizer.encode(samples.ENGLISH)
        ratio = (counts.tokens / counts.characters) / (len(english) / len(samples.ENGLISH))
        row = next(line for line in shown.splitlines() if entry.name in line)
        figures = row.replace("▸", " ").split()[1:]
        assert figures == [
            str(counts.tokens),
            f"{counts.characters / counts.tokens:.2f}",
            str(counts.unknown),
            str(counts.split),
            f"×{ratio:.2f}",
        ]


@pytest.mark.parametrize("text", ["", " \n\t ", HOSTILE, "\ud800", "x" * 5000])
def test_no_text_breaks_the_card(entries: list[TokenizerEntry], text: str) -> None:
    tokenizers = tokenizers_of(entries, text)
    for _ in entries:
        for offset in range(min(len(text), 60) + 1):
            assert tokenizers.current is not None
            shown = lines(token_details.card(tokenizers, tokenizers.under(tokenizers.current, offset), 30))
            assert not CONTROLS.search(shown.replace("\n", ""))
        tokenizers.next()
    assert lines(token_details.counts(tokenizers, "a page", 44))


def test_the_pane_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, tui.tokens.pane; from engine.tokenization.find import load; load('gpt2'); print(*sys.modules)"
    said = python(code)
    assert said.returncode == 0, said.stderr
    assert not {"torch", "transformers"} & set(said.stdout.split())


# -- samples and what is kept ---------------------------------------------------------------------------------------


def test_samples() -> None:
    from engine.tokenization.lexicon import corpus

    verses = samples.verses(corpus()[1])
    assert 300 < len(verses) < 800
    assert re.fullmatch(r"([^\n]+\n){3}(\n([^\n]+\n){3})*", verses)
    assert 500 < len(samples.ENGLISH) < 700
    assert samples.verses("no verse at all") == "no verse at all"


def test_the_desk_comes_back_whatever_is_on_it() -> None:
    state = storage.TokensState("a\ud800[bold]\x00\n", 3, ("gpt2", "nobody/x"), ids=False, marks=True)
    assert storage.restore() == storage.TokensState()
    storage.save(state)
    assert storage.restore() == state
    for damage in (b"", b"[]", b'{"text": 3, "names": []}', b'{"text": "a", "names": [3]}', b"\xff"):
        (home.home() / "tokens" / "desk.json").write_bytes(damage)
        assert storage.restore() == storage.TokensState()
