"""What stands in the cells of the lab: lists, steps, claims and answers, at every size."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len

from engine.lab.exercise import Claim, Exercise, Step, Verdict, Work
from engine.lab.results import Results, Tokenized, Tokens
from tui.lab import views
from tui.lab.views import Shown

SIZES = [(60, 18), (80, 22), (120, 38)]
HOSTILE = "\x1b]0;PAYLOAD\x07[red]x\x00\u202e"
TEXTS = ("Hello World", " hello World")


def claim(text: str, notebook: str = "") -> Claim:
    """A claim; its verdict is given by the test."""
    return Claim(text, lambda results: Verdict("not tested", ""), notebook)


ONE = Exercise(
    "1",
    "Warming up: a GPT on Dante",
    "Train a small GPT on verse, letter by letter, and look at what it writes.",
    (Work("inferno", "train", "train", "Training on Dante"),),
    (
        Step(
            "1 train",
            "Train the model",
            "Enter starts a training of 1,000 steps.",
            "work",
            "inferno",
            hub="The Inferno.",
        ),
        Step("1 bigrams", "Below bigrams", "Compare the losses.", "claim", "inferno", claim("The loss falls below.")),
        Step("1 answer", "Your judgement", "Write what you see.", "answer"),
    ),
    "Is it verse?",
)
TWO = Exercise(
    "2.1",
    "Text tokenization",
    "A tokenizer cuts text into tokens.",
    (Work("tokens", "tokens", "tokens", "The five texts"),),
    (
        Step("2.1 guess", "Guess", "How many tokens has each text?", "guess", "tokens"),
        Step("2.1 case", "Case", "", "claim", "tokens", claim("Case matters.", "15496 and 31373")),
    ),
    "What decides the number of tokens?",
)
TOKENS = Tokens(
    "gpt2", "bundled",
    (Tokenized(TEXTS[0], (15496, 2159), ("Hello", " World")), Tokenized(TEXTS[1], (23748,), (" hello World",))),
    (), (), (1, 2), (15496, 2159),
)  # fmt: skip


def found(state: str = "done", result: str = "", outcome: Any = None, why: str = "") -> Any:
    """What progress knows of a step."""
    return SimpleNamespace(state=state, result=result, verdict=Verdict(outcome, why) if outcome else None, run="")


def lab(steps: dict[str, Any] | None = None, **known: Any) -> Any:
    """What progress knows of all of them."""
    given = {"exercises": (ONE, TWO), "answers": {}, "guesses": {}, "results": Results(), "quick": False, **known}
    given.setdefault("settings", SimpleNamespace(corpus="dante", emotion="feelings"))
    return SimpleNamespace(steps=steps or {}, **given)


def shown(step: str = "1 train", **known: Any) -> Shown:
    """The pane with a step selected."""
    made = Shown(**{"lab": lab(), **known})
    return replace(made, place=[one.name for _, one in made.steps].index(step))


def lines(what: Shown, width: int, height: int) -> list[str]:
    """What is drawn, as text."""
    made, _ = views.draw(what, width, height, active=True)
    assert [strip.cell_length for strip in made] == [width] * height
    return [strip.text for strip in made]


def cells(what: Shown, size: tuple[int, int]) -> str:
    """All of it, in one text with single spaces and without frames: wrapped sentences are whole again."""
    made = (line[views.LIST :] if size[0] >= 100 else line for line in lines(what, *size))
    return " ".join(" ".join(made).replace("│", " ").split())


@pytest.mark.parametrize("size", SIZES)
def test_the_list_has_state_number_title_and_steps_in_columns(size: tuple[int, int]) -> None:
    steps = {"1 train": found(), "1 bigrams": found("running"), "2.1 guess": found("failed")}
    drawn = lines(shown(lab=lab(steps), minutes="14 min"), *size)
    if size[1] < views.TIGHT:
        assert drawn[1].rstrip() == "  ▸ ● 1   ✗ 2.1"
        assert "1 of 5 · about 14 min left" in drawn[0]
        return
    assert drawn[1].lstrip("│ ").startswith("▸ ● 1    Warming up: a GPT on Dante")
    assert drawn[2].lstrip("│ ").startswith("✗ 2.1  Text tokenization")
    assert drawn[1].index("Warming") == drawn[2].index("Text")
    assert drawn[1].index("1/3") == drawn[2].index("0/2")
    assert any("1 of 5 · about 14 min left" in line for line in drawn)


@pytest.mark.parametrize("size", SIZES)
def test_the_selected_step_is_marked_and_says_what_to_do_with_which_key(size: tuple[int, int]) -> None:
    text = cells(shown(lab=lab({"1 bigrams": found("failed")})), size)
    assert "▌ ○ Train the model Enter starts it" in text
    assert "Enter starts a training of 1,000 steps." in text
    assert "1,000 steps. With a network: The Inferno." in text
    assert "○ Your judgement" in text
    assert "Is it verse?" not in text
    for step, told in (("1 bigrams", "▌ ✗ Below bigrams Enter resumes it"), ("1 answer", "Your judgement e writes it")):
        assert told in cells(shown(step, lab=lab({"1 bigrams": found("failed")})), size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("outcome", "mark"), [("holds", "✓"), ("does not hold", "✗"), ("could be chance", "▲"), ("not tested", "○")]
)
def test_a_claim_has_its_verdict_and_the_figures_that_decide(outcome: str, mark: str, size: tuple[int, int]) -> None:
    steps = {"1 bigrams": found("done", outcome=outcome, why="1.84 nats against 2.19 nats of bigrams")}
    text = cells(shown("1 bigrams", lab=lab(steps)), size)
    assert f"▌ ✓ Below bigrams {mark} {outcome}" in text
    assert "Claim: The loss falls below. Your results: 1.84 nats against 2.19 nats of bigrams" in text
    elsewhere = cells(shown("1 train", lab=lab(steps)), size)
    assert ("1.84 nats" in elsewhere) is (outcome != "not tested")


@pytest.mark.parametrize("size", SIZES)
def test_results_are_hidden_until_the_guesses_are_made(size: tuple[int, int]) -> None:
    steps = {"2.1 case": found("done", outcome="holds", why="15496 differs from 31373")}
    text = cells(shown("2.1 case", lab=lab(steps, results=Results(tokens=TOKENS))), size)
    assert "Results are shown after your guesses." in text
    assert "15496" not in text
    steps["2.1 guess"] = found()
    guessed = lab(steps, results=Results(tokens=TOKENS), guesses={TEXTS[0]: 2, TEXTS[1]: 3})
    text = cells(shown("2.1 case", lab=guessed), size)
    assert "The course found: 15496 and 31373" in text
    assert "15496 differs from 31373" in text
    assert "“Hello World” 2" not in text
    text = cells(shown("2.1 guess", lab=guessed), size)
    assert "“Hello World” 2 2 ✓ 15496 2159" in text
    assert "“ hello World” 3 1 ✗ 23748" in text


@pytest.mark.parametrize("size", SIZES)
def test_what_the_student_wrote_is_shown_and_made_safe(size: tuple[int, int]) -> None:
    answered = lab({"1 answer": found(), "1 train": found(result=HOSTILE)}, answers={"1": f"It rhymes.\n{HOSTILE}"})
    text = cells(shown("1 answer", lab=answered), size)
    assert "Is it verse? It rhymes." in text
    assert "[red]x" in text
    assert not {"\x1b", "\x07", "\x00", "\u202e"} & set(text)


@pytest.mark.parametrize("size", SIZES)
def test_a_first_start_says_what_this_is_and_how_to_begin(size: tuple[int, int]) -> None:
    assert f"{views.ABOUT} {views.FIRST}" in cells(shown(), size)
    assert views.ABOUT not in cells(shown(lab=lab({"1 train": found("running")})), size)


def test_nothing_is_claimed_before_the_lab_has_been_read() -> None:
    assert "Reading what has been done…" in " ".join(lines(Shown(), 80, 22))


@pytest.mark.parametrize("size", SIZES)
def test_the_text_scrolls_and_follows_the_cursor(size: tuple[int, int]) -> None:
    many = tuple(replace(ONE.steps[0], name=f"1 {n}", title=f"Step {n}") for n in range(60))
    long = Shown(lab(exercises=(replace(ONE, steps=many), TWO)))
    assert views.visible(long, *size) == 0
    assert "▐" in "".join(lines(long, *size))
    for place in (59, 30, 0):
        long = replace(long, place=place)
        long = replace(long, top=views.visible(long, *size))
        made, top = views.draw(long, *size, active=True)
        text = "\n".join(strip.text for strip in made)
        assert f"▌ ○ Step {place} " in text
        assert many[place].text in " ".join(text.replace("│", " ").split())
        assert top == long.top
    assert views.draw(replace(long, top=10_000), *size, active=True)[1] < 10_000
    assert "▐" not in "".join(lines(shown(lab=lab({"1 train": found()})), 120, 38))


def test_what_is_measured_here_shows_how_far_it_is() -> None:
    measuring = shown("2.1 case", working="inferno", progress="training 40%")
    assert "● Train the model" in cells(replace(measuring, place=0), (80, 22))
    assert "training 40%" in cells(replace(measuring, place=0), (80, 22))


def test_settings_stand_beside_the_text_where_there_is_room() -> None:
    settings = SimpleNamespace(corpus="dante", emotion="/data/" + "x" * 80)
    with_facts = shown(lab=lab(settings=settings, quick=True))
    drawn = lines(with_facts, 120, 38)
    assert any(line.startswith("│ corpus   dante ") for line in drawn)
    assert any(line.startswith("│ emotion  /data/xx") and "x… │" in line for line in drawn)
    assert "the quick lab" in drawn[0]
    assert "data and models" not in "".join(lines(with_facts, 80, 22))


@pytest.mark.parametrize("width", range(60, 130, 7))
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    wide = replace(ONE, title="東京" * 40, text="é" * 300)
    made, _ = views.draw(Shown(lab(exercises=(wide, TWO))), width, 20, active=False)
    assert {cell_len(strip.text) for strip in made} == {width}
