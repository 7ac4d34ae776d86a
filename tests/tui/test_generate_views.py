"""How tokens, candidates and settings are drawn: widths, cuts, and nothing that a terminal would act on."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from rich.style import Style
from stage import CONTROLS, HOSTILE
from textual.strip import Strip

from engine.lm.sampling import Sampling
from engine.lm.sweep import ladder
from engine.runs.events import Candidate, Compared, Notice, Token
from tui.generate import candidate_view, settings_strip, status_lines, token_view
from tui.generate.candidate_view import Position
from tui.generate.status_lines import Activity
from tui.generate.sweep_view import Sweep
from tui.generate.token_layout import BREAK, Item, TokenLayout
from tui.generate.token_tree import Node, TokenTree
from tui.text import safe
from tui.widgets.styled import notice_text, strip

PARTS = [" the", " cat", "ly", "\n", " ", "\n\n", "  x", "日本", "e\u0301", "a" * 29, ".", "◌"]


def items(texts: list[str]) -> list[Item]:
    return [Item(number, text) for number, text in enumerate(texts)]


def words(strips: list[Strip]) -> str:
    return "\n".join(strip.text for strip in strips)


# -- lines of tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [4, 5, 20, 33, 80])
@pytest.mark.parametrize("seed", range(3))
def test_lines_hold_the_whole_text_within_the_width_and_every_token_is_found(width: int, seed: int) -> None:
    texts = random.Random(seed).choices(PARTS, k=200)
    made = TokenLayout()
    made.lay(items(texts), width)
    assert "".join(text for row in made.rows for _, text in row).replace(BREAK, "\n") == "".join(texts)
    assert max(sum(cell_len(text) for _, text in row) for row in made.rows) <= width
    for place in range(len(texts)):
        row = made.row_of(place)
        assert any(other == place for other, _ in made.rows[row])
        assert row == 0 or all(other != place for other, _ in made.rows[row - 1])
        assert made.place_at(row, made.column_of(place, row)) == place


@pytest.mark.parametrize("width", [4, 20, 50])
@pytest.mark.parametrize("seed", range(5))
def test_lines_laid_out_bit_by_bit_are_those_laid_out_at_once(width: int, seed: int) -> None:
    rng = random.Random(seed)
    made, texts = TokenLayout(), list[str]()
    for _ in range(150):
        if rng.random() < 0.7:
            texts.append(rng.choice(PARTS))
        elif texts:
            del texts[rng.randrange(len(texts)) :]
            texts += rng.choices(PARTS, k=rng.randint(0, 5))
        whole = TokenLayout()
        numbered = [Item((number, text), text) for number, text in enumerate(texts)]
        made.lay(numbered, width)
        whole.lay(numbered, width)
        assert made.rows == whole.rows


def test_words_are_kept_whole_where_they_fit() -> None:
    made = TokenLayout()
    made.lay(items(["Nel", " mez", "zo", " del", " cam", "min"]), 12)
    assert [[text for _, text in row] for row in made.rows] == [["Nel", " mez", "zo", " "], ["del", " cam", "min"]]


def test_there_is_no_token_beyond_the_lines() -> None:
    made = TokenLayout()
    made.lay([], 10)
    assert made.place_at(0, 0) is None
    assert made.place_at(5, 0) is None


# -- colours ---------------------------------------------------------------------------------------------------------


def test_the_ramp_has_a_step_for_every_probability_and_differs_without_colour_at_its_end() -> None:
    import math

    for ramp in token_view.RAMPS.values():
        steps = [token_view.surprise(math.log(p), ramp) for p in (0.6, 0.3, 0.02, 0.001)]
        assert len(set(steps)) == 4
        assert [bool(step.underline and (step.bold or step.bgcolor)) for step in steps] == [False] * 3 + [True]
        assert token_view.surprise(None, ramp) == Style()
        assert token_view.surprise(-math.inf, ramp) == steps[-1]
        assert token_view.surprise(0.0, ramp) == token_view.surprise(1e-9, ramp) == steps[0]  # rounding may pass zero


@pytest.mark.parametrize(
    ("text", "branches", "shown"),
    [("", 1, "◌"), (" the", 3, " ³the"), ("\n", 1, "\n"), ("x", 99, "⁹x"), ("\x1b[2J", 1, "␛[2J"), ("   ", 2, "   ²")],
)
def test_every_token_is_shown_as_something(text: str, branches: int, shown: str) -> None:
    assert token_view.glyphs(Node(0, 1, text, 0, False), branches) == shown


def test_of_a_piece_without_tokens_the_end_is_shown() -> None:
    shown = token_view.glyphs(Node(0, -5, "a" * 100_000 + "z", -1, True), 1)
    assert shown[0] == "…"
    assert shown[-1] == "z"
    assert len(shown) < 10_000


# -- candidates ------------------------------------------------------------------------------------------------------


def seen(*candidates: Candidate, kept: int | None = 2) -> Token:
    return Token(4, candidates[0].id, candidates[0].text, -1.0, -0.5, 1, 2.0, kept, False, candidates)


CANDIDATES = (
    Candidate(1, " one", 0.5, 0.6, 0.75),
    Candidate(2, " two", 0.2, 0.2, 0.25),
    Candidate(3, " three", 0.1, 0.08, 0.0, "top_k"),
    Candidate(4, HOSTILE, 0.05, 0.04, 0.0, "top_p"),
    Candidate(5, "\n", 0.0, 0.0, 0.0, "min_p"),
)


@pytest.mark.parametrize("width", [30, 34, 46, 80])
@pytest.mark.parametrize("height", [1, 3, 6, 20])
def test_the_funnel_has_the_size_it_is_given_and_nothing_a_terminal_acts_on(width: int, height: int) -> None:
    for sampling in (None, Sampling(), Sampling(greedy=True)):
        position = Position(4, Node(0, 1, HOSTILE, 0, False), (1, 2), seen(*CANDIDATES), sampling)
        for picked in (0, 4):
            strips = candidate_view.draw(position, picked, width, height)
            strips += candidate_view.card(position, width)
            assert len(strips) <= max(2, height) + 3
            assert {strip.cell_length for strip in strips} == {width}
            assert not CONTROLS.findall(words(strips).replace("\n", ""))


def test_the_funnel_says_what_was_cut_by_what_and_how_much_of_the_probability() -> None:
    position = Position(4, None, (0, 0), seen(*CANDIDATES), Sampling(temperature=0.7))
    text = words(candidate_view.draw(position, 0, 60, 20))
    assert "T 0.7" in text
    lines = text.splitlines()
    assert lines[1].split()[-3:] == ["50.0", "60.0", "75.0"]
    assert lines[3].endswith("top-k")
    assert lines[4].endswith("top-p")
    assert lines[5].strip() == "… 1 more"
    assert "2 kept, 20.0% cut by top-k, top-p, min-p" in text
    assert candidate_view.cut_mass(position) == pytest.approx(0.2)


def test_nothing_is_cut_where_all_is_kept_and_greedy_is_no_cut() -> None:
    whole = seen(Candidate(1, "a", 0.6, 0.6, 0.6), Candidate(2, "b", 0.4, 0.4, 0.4))
    assert "nothing cut" in words(candidate_view.draw(Position(1, None, seen=whole, sampling=Sampling()), 0, 60, 9))
    greedy = seen(Candidate(1, "a", 0.6, 0.6, 1.0), Candidate(2, "b", 0.4, 0.4, 0.0, "greedy"))
    text = words(candidate_view.draw(Position(1, None, seen=greedy, sampling=Sampling(greedy=True)), 0, 60, 9))
    assert "greedy: the most probable token" in text
    assert "cut" not in text


def test_a_place_without_candidates_says_why() -> None:
    note = "The first token has no prediction: nothing precedes it."
    assert words(candidate_view.draw(Position(note=note), 0, 24, 5)).split() == note.split()


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, " 0.00"), (1e-9, "<0.01"), (0.0004, " 0.04"), (0.123, " 12.3"), (0.9994, " 99.9"), (1.0, "  100")],
)
def test_percentages_have_five_cells(probability: float, text: str) -> None:
    assert candidate_view.percent(probability) == text


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(settings_strip.NAMES))
def test_every_step_of_a_setting_is_valid_and_a_step_back_is_there(name: str) -> None:
    sampling = Sampling()
    for by in (1, -1):
        for _ in range(40):
            stepped = settings_strip.step(sampling, name, by)
            assert not stepped.validate()
            assert type(getattr(stepped, name)) is type(getattr(sampling, name))
            sampling = stepped
    by = -1 if name == "top_p" else 1  # whose default is its largest
    assert settings_strip.step(settings_strip.step(Sampling(), name, by), name, -by) == Sampling()


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("temperature", "0.73", 0.73),
        ("top_k", "7", 7),
        ("seed", "0", 0),
        ("top_p", ".5", 0.5),
        ("max_new_tokens", "9", 9),
    ],
)
def test_a_typed_value_is_taken(name: str, typed: str, value: float) -> None:
    sampling, wrong = settings_strip.read(Sampling(), name, typed)
    assert (getattr(sampling, name), wrong) == (value, "")


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("temperature", "0"),
        ("temperature", "."),
        ("top_k", "1.5"),
        ("top_p", "2"),
        ("min_p", "1.01"),
        ("seed", "9" * 19),
    ],
)
def test_a_wrong_value_changes_nothing_and_says_why(name: str, typed: str) -> None:
    sampling, wrong = settings_strip.read(Sampling(), name, typed)
    assert sampling == Sampling()
    assert wrong.startswith("must")


# -- lines around the text -------------------------------------------------------------------------------------------


class FakeModel:
    """What the head line tells of a model."""

    name, source, parameters, bytes, precision, context = HOSTILE, HOSTILE, 124_439_808, 497_759_232, "float32", 1024
    slides = False

    class device:
        type = "cpu"


@pytest.mark.parametrize("width", [58, 78, 118, 198])
def test_the_lines_around_the_text_fit_and_are_safe(width: int) -> None:
    made = TokenTree()
    made.write(HOSTILE)
    for lm in (None, FakeModel()):
        for kind in ("", "load", "complete", "look"):
            line = status_lines.head(lm, Activity(kind, None, None, 12.3, 7), width)  # type: ignore[arg-type]
            assert line.cell_length == width
            assert not CONTROLS.findall(line.text)
    assert "7/1,024" in status_lines.head(FakeModel(), Activity(context=7), width).text  # type: ignore[arg-type]
    assert not CONTROLS.findall(status_lines.text_title(made) + status_lines.text_facts(made))
    told = strip(notice_text(Notice(HOSTILE * 20, "error")), width)
    assert told.cell_length == width
    assert not CONTROLS.findall(told.text)
    assert token_view.legend(width, token_view.RAMPS["dark"]).cell_length == width


# -- comparisons -----------------------------------------------------------------------------------------------------


def test_a_comparison_is_folded_column_by_column() -> None:
    made = Sweep(ladder("p", Sampling()))
    for stream in range(len(made.columns)):
        for index in range(3):
            made.fold(Token(index, index, safe("x"), -1.0, -1.0, 1, 1.0, 1, False, (), stream))
        settings = vars(made.columns[stream].setting.sampling)
        made.fold(Compared(stream, "name", **settings, text="xxx", reason="length", tokens=3, repetition_rate=0.5,
                           distinct_2=None, mean_logprob=-1.25, tokens_per_second=9.87))  # fmt: skip
    assert made.done
    assert made.columns[0].figures() == ("0.50", "–", "-1.25", "9.9")
    assert [len(column.tokens) for column in made.columns] == [3] * 6


@pytest.mark.parametrize("width", range(20, 90))
def test_a_legend_says_a_mark_whole_or_not_at_all(width: int) -> None:
    told = token_view.legend(width, token_view.RAMPS["dark"]).text
    assert len(told) == width
    assert "▏ end of the prompt" in told or "▏" not in told
    assert "² branches" in told or "²" not in told
    assert width < 80 or "² branches" in told
