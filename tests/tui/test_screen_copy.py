"""Copy in Runs and the values of the last start: every field of a spec is carried, for every task."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from stage import FakeTrainers, shows, until

from checkpoints import home as places
from checkpoints import run as runs
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.gpt.spec import TrainSpec
from engine.retrieve.spec import RetrieveSpec
from engine.runs.spec import Option, changed, options, restored, spelled, to_dict, typed
from tui.app import LabApp
from tui.follow.comparison_form import CompareForm
from tui.follow.form import Form
from tui.runs.pane import RunsPane

KINDS = (TrainSpec, ClassifySpec, ChooseSpec, RetrieveSpec)
FORMS = {"train": "form", "classify": "cl-form", "choose": "ch-form", "retrieve": "re-form"}
FILES = {"train": "form.json", "classify": "classify.json", "choose": "choose.json", "retrieve": "retrieve.json"}


def other(known: Option, value: Any) -> Any:
    """A value that the field may have and that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return tuple(one for one in known.choices if (one,) != value)[:1]
    if known.choices:
        return next(one for one in reversed(known.choices) if one != value)
    if isinstance(value, float):
        return value / 3 if value else 1 / 7
    if isinstance(value, int):
        return value * 2 + 1 if known.maximum is None or value * 2 + 1 <= known.maximum else value - 1
    return 'a "b"\n\\n c' if known.escaped else "other"


def unusual(kind: type, folder: Path) -> Any:
    """A valid spec of which no field has its default."""
    file = folder / "rows.txt"
    file.write_text("".join(f'text "{n}" a\\n b c\tother\n' for n in range(900)), encoding="utf-8")
    default = kind()
    values = {name: other(known, getattr(default, name)) for name, known in options(kind).items()}
    values |= {name: str(folder) for name in ("data", "encoder", "model") if name in values}
    values |= {name: str(file) for name in ("corpus", "test") if name in values}
    values |= {"label_column": "another"} if "label_column" in values else {}
    values |= {"heads": 3, "width": 54} if "width" in values else {}
    values |= {"encoding": "cp1252"} if "encoding" in values else {}
    values |= {"gpus": "2"} if "gpus" in values else {}
    values |= {"encoding": "gb18030"} if "encoding" in values else {}
    values |= {"seed": (1 << 62) - 1}  # a float cannot hold it
    return kind(**values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_is_the_same_after_its_text_and_its_record(kind: Any, tmp_path: Path) -> None:
    for spec in (kind(), unusual(kind, tmp_path)):
        assert spec.validate() == []
        assert changed(kind(), typed(kind, spelled(spec))) == spec
        assert restored(kind, json.loads(json.dumps(to_dict(spec)))) == spec
    assert all(getattr(spec, entry.name) != entry.default for entry in dataclasses.fields(kind))


@pytest.mark.parametrize("kind", KINDS)
async def test_copy_and_the_next_start_carry_every_field(
    kind: Any, tmp_path: Path, trainers: FakeTrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompareForm, "look", lambda *_: None)  # there are no data to be read
    spec, task = unusual(kind, tmp_path), kind.task
    runs.create(places.runs(), "unusual", to_dict(spec), {})
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press("7")
        await until(pilot, lambda: any(pane.selected for pane in pilot.app.query(RunsPane)))
        await pilot.press("c")
        await until(pilot, lambda: any(form.is_mounted for form in pilot.app.query(f"#{FORMS[task]}")))
        form = pilot.app.query_one(f"#{FORMS[task]}", Form)
        await until(pilot, lambda: not form.problems and form.spec() == spec)
        form.unfold()
        await pilot.pause()
        assert form.spec() == spec  # also when the advanced fields are on the screen
        assert form.start()
        await until(pilot, lambda: trainers.started and (places.home() / FILES[task]).exists())
    assert restored(kind, trainers.started[0].read_json("spec.json")) == spec
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        await pilot.press(str(["train", "", "", "classify", "choose", "retrieve"].index(task) + 1))
        await until(pilot, lambda: any(form.is_mounted for form in pilot.app.query(f"#{FORMS[task]}")))
        again = pilot.app.query_one(f"#{FORMS[task]}", Form)
        await until(pilot, lambda: again.spec() == dataclasses.replace(spec, name=""))
