"""The Choose pane's state and drawings without a screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stage import CONTROLS, HOSTILE

from data.choices import Item
from engine.choose.spec import ChooseSpec
from engine.runs import spec as specs
from engine.runs.events import Classified, ContenderDone, ContenderStep, Finished, ItemJudged, Loaded, Notice
from engine.runs.spec import BadSpec
from tui.choose.form import ChooseForm
from tui.choose.overview import overview
from tui.choose.own import Own, item_of, ranks, spelled
from tui.choose.questions import card, questions, tokens
from tui.choose.story import FILTERS, ORDERS, ChooseStory, disagree, lead, shares
from tui.choose.views import NAMES, WORDS, ViewState
from tui.follow import comparison_form, last_values
from tui.follow.headline import head, notice, tabs
from tui.widgets.panel import Frame

ITEMS = tuple(Item(f"question {number} {HOSTILE}?", (f"a{HOSTILE}", "b", "c"), number % 3) for number in range(12))
WAYS = {"sum": (-1.0, -2.0, -3.0), "token": (-1.0, -2.0, -3.0), "character": (-1.0, -2.0, -3.0), "pmi": (0.0, 1.0, 0.5)}
STRIPS = (((" a", -0.1), ("\x1b[2J", -9.0)), ((" b", -2.0),), ((" c", -3.0),))


def ranked(method: str, number: int, scores: tuple[float, ...] = (0.3, 0.2, 0.1), **changes: Any) -> ItemJudged:
    """An item that the first choice wins."""
    given = {"gold": ITEMS[number].gold, "accuracy": 0.5, "low": 0.4, "high": 0.6, **changes}
    return ItemJudged(method, number, number + 1, len(ITEMS), scores=scores, **given)


def result(accuracy: float, **changes: Any) -> dict[str, Any]:
    """Figures of a method."""
    return {
        "accuracy": accuracy, "interval": [accuracy - 0.05, accuracy + 0.05], "items": 12, "chance": 0.333,
        "p_chance": 0.001, "seconds": 1.0, "settings": HOSTILE, "seeds": [0.4, 0.5],
        "question_hidden": {"accuracy": 0.35, "interval": [0.3, 0.4], "p": 0.2},
        "choices_shuffled": {"accuracy": accuracy, "changed": 1, "items": 12},
        "places": [{"place": "A", "right": 4, "chosen": 6, "found": 0.5}],
        "margins": [{"low": 0.0, "high": 0.1, "confidence": 0.05, "accuracy": 0.5, "count": 6}], **changes,
    }  # fmt: skip


def story(*, finished: bool = True) -> ChooseStory:
    """A ranking of two methods."""
    told = ChooseStory()
    told.fold(
        Loaded(
            "choose",
            HOSTILE,
            HOSTILE,
            30,
            5,
            12,
            "validation",
            "f",
            ("chance", "longest", "zero-shot", "margin"),
            (HOSTILE,),
            (),
        )
    )
    told.fold(ContenderDone("chance", {"accuracy": 0.333, "interval": [0.333, 0.333], "items": 12, "seconds": 0.0}))
    for number in range(12):
        told.fold(ranked("zero-shot", number, ways=WAYS, strips=STRIPS))
    told.fold(ContenderDone("zero-shot", result(0.4, ways={"sum": {"accuracy": 0.4, "interval": [0.3, 0.5]}})))
    for step in range(1, 6):
        told.fold(ContenderStep("margin", step, 9, 0.3 / step, 0.2, 0.4, 1.0, HOSTILE))
    for number in range(12):
        told.fold(ranked("margin", number, (0.1 * number, 0.3, 0.2)))
    if finished:
        told.fold(ContenderDone("margin", result(0.5)))
        told.fold(Notice(HOSTILE))
        told.fold(Classified("done", 4, None, "run", 2.0, {}, f"margin is above chance {HOSTILE}"))
    return told


def text(strips: list[Any]) -> str:
    return "\n".join(strip.text for strip in strips)


def drawn_card(item: int, ranked: dict[str, ItemJudged], method: str, width: int, height: int) -> list[Any]:
    """A question in a panel of its own."""
    return card(ITEMS[item], ranked, method, "question", Frame(width), width, height)


def test_lead_filters_and_orders() -> None:
    told = story()
    assert lead(ranked("margin", 0, (0.5, 0.2, 0.1), gold=0)) == pytest.approx(0.3)
    assert lead(ranked("margin", 0, (0.5, 0.2, 0.1), gold=2)) == pytest.approx(-0.4)
    leads = [lead(event) for event in told.listing("margin", "all", "worst first").updated()]
    assert leads == sorted(leads)
    assert [abs(one) for one in (lead(e) for e in told.listing("margin", "all", "closest first").updated())] == sorted(
        map(abs, leads)
    )
    assert [event.item for event in told.listing("margin", "all", "data order").updated()] == list(range(12))
    right, wrong = (told.listing("margin", kept, "data order").updated() for kept in ("right", "wrong"))
    assert {event.item for event in right} | {event.item for event in wrong} == set(range(12))
    assert all(lead(event) >= 0 for event in right)
    assert all(lead(event) <= 0 for event in wrong)
    assert disagree(told.methods["zero-shot"].ranked[0])
    # On the first three margin chooses b where zero-shot chooses a; with the ways in disagreement all are kept.
    assert len(told.listing("zero-shot", "disagreed", "data order").updated()) == 12
    assert list(told.listing("unknown", "all", "data order").updated()) == []


def test_what_a_damaged_journal_says_is_passed_over() -> None:
    told = story()
    before = told.methods["margin"].ranked[3]
    told.fold(ItemJudged("margin", 3, 4, 12, 1, (None, 0.2), 0.5, 0.4, 0.6))  # type: ignore[arg-type]
    told.fold(ContenderDone("margin", {"accuracy": "high"}))
    told.fold(ContenderDone("margin", {}))
    assert told.methods["margin"].ranked[3] == before
    assert told.methods["margin"].result == result(0.5)
    told.fold(Finished("died", 0, None, "run"))
    assert text(overview(told, "margin", ViewState(), 80, 24))


@pytest.mark.parametrize("width", [24, 58, 80, 118, 200])
@pytest.mark.parametrize("finished", [True, False])
def test_views_fit_and_hold_no_controls(width: int, finished: bool) -> None:
    told, state = story(finished=finished), ViewState()
    drawn = [
        overview(told, "margin", ViewState(), width, 20),
        [head(told, WORDS, HOSTILE, "running", width)],
        [notice(told, width)],
    ]
    drawn.append([tabs(WORDS, state.view, width, "m", NAMES["margin"])])
    for kept in FILTERS:
        for order in ORDERS:
            state.kept, state.order, state.row = kept, order, 99
            listing = told.listing("zero-shot", kept, order).updated()
            drawn.append(questions(told, listing, ITEMS, "zero-shot", state, width, 20))
    drawn.append(
        drawn_card(0, {name: one.ranked[0] for name, one in told.methods.items() if one.ranked}, "margin", width, 20)
    )
    for strips in drawn:
        assert len(strips) <= 20
        assert all(strip.cell_length == width for strip in strips)
        assert not CONTROLS.findall(text(strips).replace("\n", ""))


def test_the_overview_tells_what_to_believe() -> None:
    shown = text(overview(story(), "margin", ViewState(), 118, 30))
    for part in ("0.500", "0.450–0.550", "question hidden 0.350", "1 of 12 answers change", "A 150%/100%", "by sum"):
        assert part in shown, part


def test_the_card_tells_right_and_wrong() -> None:
    told = story()
    shown = text(
        drawn_card(1, {name: told.methods[name].ranked[1] for name in ("zero-shot", "margin")}, "margin", 118, 30)
    )
    assert "zero-shot ✗ A" in shown
    assert "margin ✓ B" in shown
    assert "≠ disagree" in shown
    assert "·a-0.1" in shown


def test_shares_and_tokens() -> None:
    assert shares((1.0, 1.0)) == [0.5, 0.5]
    assert shares((float("-inf"), float("-inf"))) == [0.5, 0.5]
    assert shares((0.0, float("-inf"))) == [1.0, 0.0]
    strips = [((" a", -0.1), ("b", None)), ((" longer", -3.0),)]
    assert [line.plain for line in tokens(strips, 40)] == ["·a-0.1 b? ", "·longer-3.0 "]
    assert [line.plain for line in tokens(strips, 10)] == ["·ab", "·longer"]


def test_a_question_that_is_typed() -> None:
    assert item_of("Where?", "here | *there|  ") is None
    assert item_of("Where?", "here") is None
    assert item_of(" ", "here | there") is None
    assert item_of("Where?", " | ".join("abcdefghijk")) is None
    item = item_of("Where?", "here | *there")
    assert item == Item("Where?", ("here", "there"), 1)
    assert item_of(*spelled(item)) == item


def test_moves_since_the_last_change() -> None:
    own = Own()
    assert ranks((0.1, 0.3, 0.2)) == [2, 0, 1]
    first, second = Item("a?", ("x", "y"), -1), Item("ab?", ("x", "y", "z"), -1)
    own.answer(first, ItemJudged("margin", -1, 1, 1, -1, (0.9, 0.1), 0.0, 0.0, 1.0))
    assert own.moved() == {"margin": [0, 0]}
    own.answer(second, ItemJudged("margin", -1, 1, 1, -1, (0.1, 0.9, 0.5), 0.0, 0.0, 1.0))
    assert own.moved() == {"margin": [-2, 1, 0]}
    assert "▼2" in text(own.draw(second, "margin", ["margin"], "", 80, 20))
    assert "No results yet" in text(own.draw(None, "", [], "", 80, 20))


def test_values_are_checked_and_remembered() -> None:
    assert ChooseForm().spec() == ChooseSpec()
    wrong = {"data": "no/such/file.jsonl", "methods": "", "margin": "0", "seeds": "x", "limit": "-1", "encoder": ""}
    for given, fields in ((wrong, set(wrong)), ({"methods": "zero-shot", "model": " "}, {"model"})):
        last_values.write("choose.json", given)
        with pytest.raises(BadSpec) as caught:
            ChooseForm().spec()
        assert {one.field for one in caught.value.problems} == fields
    last_values.write("choose.json", {"methods": "zero-shot margin", "seeds": "7"})
    assert ChooseForm().spec() == ChooseSpec(methods=("zero-shot", "margin"), seeds=7)


def test_an_item_that_could_not_be_scored_is_neither_right_nor_wrong() -> None:
    told = story(finished=False)
    none = float("-inf")
    told.fold(ranked("zero-shot", 0, (none, -2.0, -3.0), ways={"sum": (None, -2.0, -3.0)}, strips=STRIPS))
    for kept in ("right", "wrong"):
        assert 0 not in [event.item for event in told.listing("zero-shot", kept, "worst first").updated()]
    assert 0 in [event.item for event in told.listing("zero-shot", "all", "worst first").updated()]
    event = told.methods["zero-shot"].ranked[0]
    assert (lead(event), disagree(event)) == (0.0, False)
    text = "\n".join(line.text for line in drawn_card(0, {"zero-shot": event}, "zero-shot", 100, 40))
    assert "not scored" in text


def test_a_look_at_the_data_shows_how_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "article": f"Text {n}.",
            "hint": f"hint {n}",
            "question": f"What {n}?",
            "options": ["x", "y"],
            "answer": 1 + n % 2,
        }
        for n in range(40)
    ]
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    values = {**specs.spelled(ChooseSpec()), "data": str(file)}
    seen = ChooseForm.read(values)
    shown = seen.facts().plain
    for told in ("context: article", "not used: the column 'hint'", "counted from 1", seen.first[1].context, " ✓ B y"):
        assert told in shown
    assert not seen.note
    assert "context: hint" in ChooseForm.read({**values, "context_column": "hint"}).facts().plain
    assert "no column 'gone'" in ChooseForm.read({**values, "context_column": "gone"}).problem
    assert "none of the choices left out" in ChooseForm.read({**values, "answer_base": "0"}).facts().plain
    file.write_bytes(file.read_bytes().replace(b"What", b"\xccas"))
    assert "Ěas" in ChooseForm.read({**values, "encoding": "cp1250"}).first[0].question
    assert "Ìas" in ChooseForm.read({**values, "encoding": "cp1252"}).first[0].question
    monkeypatch.setattr(comparison_form, "LARGE", 100)
    monkeypatch.setattr(comparison_form, "HEAD", 10)
    seen = ChooseForm.read(values)
    assert "only the first 10 rows" in seen.note
    assert "counted from 1" in seen.facts().plain
    assert "3 evaluated" in seen.facts().plain  # 30% of 10
    assert len(seen.first) == 2
