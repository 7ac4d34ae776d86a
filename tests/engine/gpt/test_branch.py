"""A branch without changes equals its parent to the bit; with changes it differs in these alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from workbench import FAST, KARPATHY, NANO, measured, new_run, notices, only, samples, spec, stop_at, train, weights

from checkpoints import store
from engine.gpt import runs as gpt_runs
from engine.gpt.branch import branch
from engine.gpt.trained import load
from engine.report import curves
from engine.runs import owner
from engine.runs.events import Evaluated, Started
from engine.runs.listing import summarise
from engine.runs.spec import BadSpec

pytestmark = pytest.mark.usefixtures("known_peak")


def parent_of(verse: Path, **shape: Any) -> tuple[Any, list[Any]]:
    """A run of 40 steps with checkpoints at 20 and 40, and what it told."""
    run = new_run(spec(verse, **shape))
    told = train(gpt_runs.spec_of(run), run=run, on=stop_at(20))
    return run, told + train(gpt_runs.spec_of(run), run=run, resume=True)


@pytest.mark.parametrize(
    "shape", [NANO, {**KARPATHY, "dropout": 0.1}, {**FAST, "dropout": 0.1}], ids=["nano", "karpathy", "fast"]
)
def test_a_branch_without_changes_is_its_parent(shape: dict[str, Any], verse: Path) -> None:
    parent, told = parent_of(verse, **shape)
    step = only(Started, told)[1].step
    made = branch(f"{parent.name}@{step}", {})
    shutil.rmtree(parent.path / "inbox")
    verse.unlink()  # its own copy of the corpus is used
    again = train(gpt_runs.spec_of(made), run=made, resume=True)
    assert only(Started, again)[0].step == step
    assert measured(again) == measured(told)[step:]
    losses = [
        [(one.step, one.val_loss, one.train_loss, one.best_val_loss) for one in only(Evaluated, events)]
        for events in (again, told)
    ]
    assert losses[0] == [one for one in losses[1] if one[0] > step]
    assert samples(again) == {name: text for name, text in samples(told).items() if int(name) > step}
    assert weights(made, 40) == weights(parent, 40)


def test_a_branch_differs_in_what_was_changed_and_knows_its_parent(verse: Path) -> None:
    parent, told = parent_of(verse, **NANO)
    made = branch(f"{parent.name}@20", {"learning-rate": "0.01", "name": "hotter"})
    assert made.name.endswith("-hotter")
    before, after = gpt_runs.spec_of(parent), gpt_runs.spec_of(made)
    assert (after.learning_rate, after.name, after.steps) == (0.01, "hotter", before.steps)
    shutil.rmtree(parent.path)
    again = train(after, run=made, resume=True)
    assert measured(again)[0][:2] == measured(told)[20][:2]  # the loss of the next batch, before its update
    assert [one[3] for one in measured(again)] == pytest.approx([10 * one[3] for one in measured(told)[20:]])
    gpt_runs.write_spec(made, after)
    assert summarise(made).parent == f"{parent.name}@20"
    assert json.loads((made.path / "spec.json").read_text())["parent"] == f"{parent.name}@20"


def test_the_losses_before_a_branch_are_those_of_all_it_goes_on_from(verse: Path) -> None:
    parent, told = parent_of(verse, **NANO)
    middle = branch(f"{parent.name}@20", {"steps": 60})
    later = train(gpt_runs.spec_of(middle), run=middle, resume=True)
    last = branch(f"{middle.name}@60", {"steps": 80})
    for run, events in ((parent, told), (middle, later)):
        list(owner.record(run, iter(events)))
    losses = {one.step: one.val_loss for one in only(Evaluated, told) if one.step <= 20}
    assert losses
    assert dict(curves.before(middle)) == losses
    assert dict(curves.before(last)) == losses | {one.step: one.val_loss for one in only(Evaluated, later)}
    assert curves.before(parent) == ()
    middle.write_json("spec.json", {**middle.read_json("spec.json"), "parent": f"{last.name}@20"})  # a circle
    assert dict(curves.before(middle)) == {}
    shutil.rmtree(middle.path)
    assert curves.before(last) == ()


def test_best_and_last_are_names_of_checkpoints(verse: Path) -> None:
    parent, told = parent_of(verse, **NANO)
    best = only(Evaluated, told)[-1].best_step
    assert summarise(branch(f"{parent.name}@best", {"steps": 50})).parent == f"{parent.name}@{best}"
    for name in (
        parent.name,
        f"{parent.path}@last",
    ):
        assert summarise(branch(name, {"steps": 50})).parent == f"{parent.name}@40"


def test_the_best_checkpoint_until_then_comes_along(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.gpt.trainer import Trainer

    def evaluate(self: Trainer) -> Any:
        yield 1, 1.0 + abs(self.position.step - 10) / 100

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    parent, _ = parent_of(verse, **NANO)
    made = branch(f"{parent.name}@20", {})
    assert weights(made, 10) == weights(parent, 10)
    assert load(str(made.path), which="best").step == 10
    again = train(gpt_runs.spec_of(made), run=made, resume=True)
    assert only(Started, again)[0].step == 20
    assert not notices("checkpoint", again)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"layers": "3"}, "layers"),
        ({"corpus": "dantesque"}, "corpus"),
        ({"optimizer": "muon"}, "optimizer"),
        ({"steps": "20"}, "steps"),
        ({"layres": "3"}, "layres"),
    ],
)
def test_what_a_checkpoint_decides_cannot_be_changed(given: dict[str, str], field: str, verse: Path) -> None:
    parent, _ = parent_of(verse, **NANO)
    before = sorted(parent.path.parent.iterdir())
    with pytest.raises(BadSpec) as error:
        branch(f"{parent.name}@20", given)
    assert [problem.field for problem in error.value.problems] == [field]
    assert sorted(parent.path.parent.iterdir()) == before


def test_a_checkpoint_that_is_not_there_or_damaged_makes_no_run(verse: Path) -> None:
    parent, _ = parent_of(verse, **NANO)
    before = sorted(parent.path.parent.iterdir())
    with pytest.raises(store.CheckpointError, match=r"no checkpoint 30; it has steps .*20.*40"):
        branch(f"{parent.name}@30", {})
    file = parent.checkpoints / "step-000020" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(store.CheckpointError, match="SHA-256"):
        branch(f"{parent.name}@20", {})
    assert sorted(parent.path.parent.iterdir()) == before


def test_a_branch_that_cannot_be_written_leaves_nothing(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, _ = parent_of(verse, **NANO)

    def full(*_: Any) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(store, "commit", full)
    with pytest.raises(OSError, match="no space left"):
        branch(f"{parent.name}@20", {})
    assert [path.name for path in parent.path.parent.iterdir()] == [parent.name]
