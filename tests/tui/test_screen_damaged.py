"""Comparisons whose files hold anything in the place of a figure: shown as far as that goes, and never fatal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from classifying import report, told
from stage import shows, until

from checkpoints import home as places
from checkpoints import run as runs
from engine.comparison.statistics import report_from
from engine.runs import codec, owner
from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    CurvePoint,
    Encoded,
    Event,
    ItemJudged,
    Loaded,
    Notice,
    Progress,
    from_dict,
    to_dict,
)
from tui.app import LabApp
from tui.follow.comparison import ComparePane

METHODS = ("margin", "trained", "mlp", "finetune")
ODD: list[Any] = [1e308, -1, "many", None, [], {}, True, [1, "x"], [[1]]]


def choose(odd: Any) -> list[Event]:
    """A ranking with ``odd`` where a share and a count stand."""
    figures = {"accuracy": 0.5, "interval": [0.4, 0.6], "items": 12, "seconds": 1.0, "chance": 0.3, "p_chance": 0.1}
    damaged = {**figures, "places": [{"place": "A", "right": odd, "chosen": odd, "found": odd}], "ways": {"sum": odd}}
    loaded = Loaded("choose", "d", "s", 30, 5, 12, "validation", "f", ("margin", "chance"), (), ())
    return [loaded, ContenderDone("margin", damaged), ContenderDone("chance", {**figures, "interval": odd})]


def retrieve(odd: Any) -> list[Event]:
    """A retrieval with ``odd`` as interval and as difference."""
    loaded = Loaded("retrieve", "d", "s", 30, 0, 20, "test", "f", ("bm25", "mean"), (), (), documents=100)
    figures = {"ndcg@10": 0.5, "interval": [odd, odd], "seconds": odd, "settings": odd}
    return [loaded, ContenderDone("bm25", figures, {}), ContenderDone("mean", figures, {"bm25": {"ndcg@10": odd}})]


def classify(odd: Any) -> list[Event]:
    """A classification, one of whose methods has ``odd`` as its bins."""
    return [*told()[:-1], ContenderDone("lr", {**report("lr"), "bins": odd})]


def numbers(odd: float) -> list[Event]:
    """Progress of a training with ``odd`` in every figure, in its middle and at its end."""
    steps = [ContenderStep(name, step, 9, odd, odd, odd, odd, "", odd) for name in METHODS for step in (1, 2)]
    points = [ContenderStep(name, 3, 9, 0.5, 0.4, 0.3, 0.2, "", 0.3) for name in METHODS]
    judged = [ItemJudged("margin", 3, 4, 12, 1, (odd, 0.2, odd), odd, odd, odd), Encoded("x", 1, 2, 0, odd, odd)]
    return [*steps, *points, *steps, *judged, CurvePoint("lr", 8, 24, odd, odd, odd, 3), Progress("x", odd, odd)]


@pytest.mark.parametrize(
    ("task", "events", "views"),
    [("choose", choose, "ai"), ("retrieve", retrieve, "agms"), ("classify", classify, "amck")],
)
async def test_a_comparison_with_damaged_figures_is_shown(
    task: str, events: Callable[[Any], list[Event]], views: str
) -> None:
    run = runs.create(places.runs(), task, {"task": task, "data": "d"}, {})
    journal = [*events(1e308), Classified("done", 2, None, run.name, 2.0, {}, "the end of it")]
    assert len(list(owner.record(run, iter(journal)))) == len(journal)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("7")
        await shows(pilot, "on disk")
        await pilot.press("enter")
        await until(pilot, lambda: app.here.id == task and app.here.story.finished)  # type: ignore[attr-defined]
        pane = app.here
        assert isinstance(pane, ComparePane)
        for key in views:
            await pilot.press(key, "down", "right")
            for odd in ODD:
                for event in events(odd):
                    pane.story.fold(from_dict(json.loads(json.dumps(to_dict(event)))) or Notice("refused"))
                pane.redraw()
            for number in (math.nan, math.inf, -math.inf, 1e308):
                for event in numbers(number):
                    back = from_dict(json.loads(json.dumps(to_dict(event), allow_nan=False)))
                    assert back is not None
                    pane.story.fold(back)
                pane.redraw()
                await pilot.pause()
        assert app.is_running


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("name", ["accuracy", "interval", "classes", "confusion", "bins", "settings", "macro_f1"])
def test_a_report_with_anything_else_in_the_place_of_a_figure_is_refused(name: str, odd: Any) -> None:
    assert codec.encode(report_from(report("lr"))) == report("lr")
    if (name, odd) in (("settings", "many"), ("macro_f1", 1e308), ("macro_f1", -1), ("bins", [])):
        return  # of the type that stands there
    with pytest.raises((TypeError, KeyError, ValueError)):
        report_from({**report("lr"), name: odd})
