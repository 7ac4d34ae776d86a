"""What the forms show of a data set on the Hub before it is downloaded, and after."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hub_layouts import LAYOUTS
from hub_server import StandIn

from engine import hub_data, hub_requests
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.retrieve.spec import RetrieveSpec
from engine.runs.messages import finish
from engine.runs.spec import spelled
from tui.choose.form import ChooseForm
from tui.classify.form import ClassifyForm
from tui.follow import comparison_form
from tui.follow.comparison_form import CompareForm
from tui.retrieve.form import RetrieveForm


@pytest.mark.parametrize(
    ("form", "spec", "name", "shown", "whole"),
    [
        (ClassifyForm, ClassifySpec(), "dair-ai/emotion", "a text of 0", "12 test"),
        (ChooseForm, ChooseSpec(), "tau/commonsense_qa", "th time?", "items to train on"),
        (ChooseForm, ChooseSpec(), "allenai/swag:regular", "sent2", "items to train on"),
        (RetrieveForm, RetrieveSpec(), "BeIR/scifact", "On alphacell", "12 documents"),
    ],
)
def test_a_look_asks_only_when_told_to_and_shows_all_once_it_is_cached(
    form: type[CompareForm], spec: Any, name: str, shown: str, whole: str, stand_in: StandIn
) -> None:
    LAYOUTS.get(name, LAYOUTS["BeIR/scifact:corpus"])(stand_in)
    values = {**spelled(spec), "data": name}

    def told(**asked: bool) -> str:
        seen = form.read(values, **asked)
        assert not seen.problem
        rows = seen.first_rows().plain if form is ClassifyForm else ""
        return f"{seen.facts().plain}\n{rows}"

    assert f"{name} is looked up on the Hub when you press Enter here or F5" in told()
    assert not stand_in.asked
    first = told(ask=True)
    assert shown in first
    assert "Only the first rows are shown: F5 downloads" in first
    assert whole not in first
    get = hub_data.fetch_collection if form is RetrieveForm else hub_data.fetch
    finish(get(name, "bundled", lambda: iter(())))
    stand_in.asked.clear()
    complete = told()
    assert whole in complete
    assert shown in complete
    assert not stand_in.asked


def test_a_look_tells_why_there_is_nothing_to_see(stand_in: StandIn) -> None:
    LAYOUTS["allenai/swag:regular"](stand_in)
    seen = ChooseForm.read({**spelled(ChooseSpec()), "data": "allenai/swag"}, ask=True)
    assert not seen.problem
    assert "its configurations are regular, full" in seen.note
    assert "Enter tries again" in seen.note


def test_a_look_that_is_not_waited_for_any_more_ends(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        @property
        def is_cancelled(self) -> bool:
            return stand_in.waiting.is_set()

    LAYOUTS["dair-ai/emotion"](stand_in)
    stand_in.fail("GET .*/large/", halt=10)
    monkeypatch.setattr(hub_requests, "SILENCE", 600.0)
    monkeypatch.setattr(comparison_form, "get_current_worker", Worker)
    values = {**spelled(ClassifySpec()), "data": "dair-ai/emotion"}
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ClassifyForm.read(values, ask=True)), daemon=True)
    thread.start()
    thread.join(4)
    assert found == [ClassifyForm.NOTHING]
