"""What a run resumes from: its own text, and the newest checkpoint that this version understands."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workbench import measured, new_run, notices, only, spec, stop_at, train, weights

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.run import Run
from data.corpus import CorpusError, from_text
from engine.device import place
from engine.gpt import runs as gpt_runs
from engine.gpt import setup
from engine.gpt.trained import load, write_export
from engine.gpt.trainer import Trainer
from engine.runs import owner
from engine.runs.events import Event, Started
from engine.runs.messages import Control

pytestmark = pytest.mark.usefixtures("known_peak")


def half(verse: Path, **changes: Any) -> tuple[Run, list[Event]]:
    """A run stopped at step 20, with a checkpoint at 10 and one at 20."""
    run = new_run(spec(verse, **changes))
    first = train(spec(verse, **changes), run=run, on=stop_at(10))
    return run, first + train(spec(verse, **changes), run=run, resume=True, on=stop_at(20))


def swap(path: Path) -> None:
    """Edit a text so that it has the same characters as before."""
    text = path.read_text("utf-8")
    path.write_text(text.replace("ma", "am", 20), "utf-8")
    assert path.read_text("utf-8") != text
    assert set(path.read_text("utf-8")) == set(text)


# -- the corpus --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("about", [b"{", b"{}", b'{"fingerprint": 5}', None])
def test_with_a_damaged_corpus_json_an_edited_text_is_not_trained_on(about: bytes | None, verse: Path) -> None:
    whole = train(spec(verse))
    run, first = half(verse)
    before = json.loads((run.path / "corpus.json").read_text())
    (run.path / "corpus.json").unlink()
    if about is not None:
        (run.path / "corpus.json").write_bytes(about)
    swap(verse)
    rest = train(spec(verse), run=run, resume=True)
    assert {event.fingerprint for event in only(Started, first + rest)} == {before["fingerprint"]}
    assert measured(first + rest) == measured(whole)
    assert json.loads((run.path / "corpus.json").read_text())["fingerprint"] == before["fingerprint"]


def test_a_corpus_json_with_another_fingerprint_before_the_first_checkpoint_refuses_no_run(verse: Path) -> None:
    run = new_run(spec(verse))
    list(gpt_runs.drive(run, Control(), resume=False))
    for checkpoint in store.checkpoints(run.checkpoints):
        shutil.rmtree(checkpoint)
    about = (run.path / "corpus.json").read_text()
    at = about.index('"fingerprint": "') + len('"fingerprint": "')
    changed = "1" if about[at] == "0" else "0"
    (run.path / "corpus.json").write_text(about[:at] + changed + about[at + 1 :])
    again = list(gpt_runs.drive(run, Control(), resume=True))
    assert only(Started, again)[0].step == 0
    assert (run.path / "corpus.json").read_text() == about


@pytest.mark.parametrize("damage", ["edited", "empty", "not UTF-8", "folder"])
def test_a_damaged_copy_is_taken_again_from_an_unchanged_original(damage: str, verse: Path) -> None:
    whole = train(spec(verse))
    run, first = half(verse)
    copy = run.path / "corpus.txt"
    intact = copy.read_bytes()
    if damage == "edited":
        swap(copy)
    else:
        copy.write_bytes(b"" if damage == "empty" else b"\xff\xfe\x00")
    if damage == "folder":
        copy.unlink()
    rest = train(spec(verse), run=run, resume=True)
    assert measured(first + rest) == measured(whole)
    assert copy.read_bytes() == intact
    said = [notice.text for notice in notices("corpus", rest)]
    assert said == [] if damage == "folder" else (str(copy) in said[0] and f"Copied again from {verse}" in said[0])


@pytest.mark.parametrize("original", ["edited", "removed"])
def test_without_an_intact_text_a_resume_is_refused_and_says_what_is_wrong(original: str, verse: Path) -> None:
    run, _ = half(verse)
    swap(run.path / "corpus.txt")
    swap(verse)
    if original == "removed":
        verse.unlink()
    with pytest.raises(CorpusError) as caught:
        train(spec(verse), run=run, resume=True)
    assert f"{run.path / 'corpus.txt'} is damaged" in str(caught.value)
    assert str(verse) in str(caught.value).partition("damaged")[2]
    assert ("no such file" in str(caught.value)) == (original == "removed")
    assert ("is not the one that this run was trained on" in str(caught.value)) == (original == "edited")


def test_a_run_without_a_copy_is_not_continued_on_another_text(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "OWN_COPY", 10)  # as for a text that is too large for a copy
    run, first = half(verse)
    assert not (run.path / "corpus.txt").exists()
    assert measured(first + train(spec(verse), run=run, resume=True)) == measured(train(spec(verse)))
    (run.path / "corpus.json").write_bytes(b"")
    swap(verse)
    with pytest.raises(CorpusError, match="is not the one that this run was trained on"):
        train(spec(verse), run=run, resume=True)


def test_a_checkpoint_is_not_restored_for_another_text_of_the_same_characters(verse: Path) -> None:
    run, _ = half(verse)
    text = verse.read_text("utf-8")
    made = spec(verse)
    trainer = Trainer(
        made,
        from_text(text[::-1], name="verse", source="reversed"),
        place(made.device, made.precision, made.threads),
    )
    with pytest.raises(store.CheckpointError, match="was trained on another text than reversed"):
        setup.restore(run, trainer)


# -- checkpoints -------------------------------------------------------------------------------------------------------


def edit(checkpoint: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what ``state.json`` holds, as another version would write it."""
    path = checkpoint / "state.json"
    content = store.read_object(path)
    change(content)
    path.write_text(json.dumps(store.with_checksum(content)))


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "newer schema": lambda state: state.update(schema=2),
    "one field more": lambda state: state.update(scaler=[1.0]),
    "one field more in the position": lambda state: state["position"].update(ema=0.5),
    "another step": lambda state: state["position"].update(step=3),
    "a list for the position": lambda state: state.update(position=[]),
    "nothing for the spec": lambda state: state.update(spec=None),
    **{f"no {key}": lambda state, key=key: state.pop(key) for key in sorted(setup.KEYS - {"files"})},  # type: ignore[misc]
    **{
        f"no {key} in the position": lambda state, key=key: state["position"].pop(key)  # type: ignore[misc]
        for key in ("step", "learning_rate", "micro_batch", "history", "best_val_loss", "sampled_step")
    },
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES)
def test_a_newest_state_that_is_not_understood_gives_way_to_an_older_one(
    change: Callable[[dict[str, Any]], object], verse: Path
) -> None:
    run, _ = half(verse)
    edit(run.checkpoints / "step-000020", change)
    rest = train(spec(verse), run=run, resume=True, on=stop_at(20))
    assert only(Started, rest)[0].step == 10
    (notice,) = notices("checkpoint", rest)
    assert notice.level == "warning"
    assert notice.text.startswith("skipped a checkpoint: step-000020")
    edit(run.checkpoints / "step-000020", change)
    assert load(str(run.path), which="last").step == 10


def test_a_newest_state_that_is_not_understood_costs_no_exactness(verse: Path) -> None:
    straight, (run, first) = new_run(spec(verse)), half(verse)
    whole = train(spec(verse), run=straight)
    edit(run.checkpoints / "step-000020", STATES["newer schema"])
    rest = train(spec(verse), run=run, resume=True)
    assert measured(first)[:10] + measured(rest) == measured(whole)
    assert weights(run, 40) == weights(straight, 40)


def test_a_state_of_an_earlier_version_says_a_format_and_no_schema(verse: Path) -> None:
    run, first = half(verse)
    for checkpoint in store.checkpoints(run.checkpoints):
        edit(checkpoint, lambda state: state.update(format=1))
        assert "schema" not in json.loads((checkpoint / "state.json").read_bytes())
    rest = train(spec(verse), run=run, resume=True)
    assert notices("checkpoint", rest) == []
    assert measured(first + rest) == measured(train(spec(verse)))


def test_without_a_state_that_is_understood_the_reasons_are_named(verse: Path) -> None:
    run, _ = half(verse)
    for checkpoint in store.checkpoints(run.checkpoints):
        edit(checkpoint, STATES["newer schema"])
    with pytest.raises(store.CheckpointError, match=r"step-000020/.*schema is 2, this version reads 1\); step-000010/"):
        train(spec(verse), run=run, resume=True)
    with pytest.raises(store.CheckpointError, match="schema is 2"):
        load(str(run.path))


def test_what_others_put_beside_the_checkpoints_is_left_alone(verse: Path) -> None:
    run, _ = half(verse)
    others = ("tmp-x", "tmp-1-notes", "tmp-old-step-000005", "step-x")
    for name in others:
        (run.checkpoints / name).mkdir()
    (run.checkpoints / "tmp-77-step-000015").mkdir()
    (run.checkpoints / "tmp-78-gone-step-000005").mkdir()
    assert only(Started, list(gpt_runs.drive(run, Control(), resume=True)))[0].step == 20
    assert {entry.name for entry in run.checkpoints.iterdir()} == {"step-000040", "step-000020", *others}


# -- the run's other files ---------------------------------------------------------------------------------------------


def test_a_run_whose_spec_is_lost_is_found_and_resumed_from_its_checkpoint(verse: Path) -> None:
    straight, (run, first) = new_run(spec(verse)), half(verse)
    whole = train(spec(verse), run=straight)
    (run.path / "spec.json").unlink()
    (home.runs() / "notes.txt").write_text("no run")
    (home.runs() / "empty" / "checkpoints").mkdir(parents=True)
    assert {found.name for found in runs.every(home.runs())} == {run.name, straight.name}
    assert runs.find(home.runs(), str(run.path)).name == runs.find(home.runs(), run.name).name == run.name
    rest = list(gpt_runs.drive(run, Control(), resume=True))
    assert measured(first + rest) == measured(whole)
    assert weights(run, 40) == weights(straight, 40)
    assert run.read_json("spec.json")["corpus"] == str(verse)


def test_a_run_on_a_text_whose_name_is_not_utf_8_is_recorded_and_resumed(verse: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.txt"))
    shutil.copy(verse, path)
    run = new_run(spec(path))
    first = []
    control = Control()
    for event in gpt_runs.drive(run, control, resume=False):
        first.append(event)
        stop_at(20)(event, control)
    rest = list(gpt_runs.drive(run, Control(), resume=True))
    assert measured(first + rest) == measured(train(spec(verse)))
    assert run.read_json("spec.json")["corpus"] == run.read_json("corpus.json")["source"] == str(path)
    write_export(load(str(run.path)), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "training.json").read_text("utf-8"))["spec"]["corpus"] == path.name
    run.events.read_text("utf-8")
    assert [event for event in owner.follow(run, Control()) if isinstance(event, Started)] == only(
        Started, first + rest
    )
    (run.path / "spec.json").unlink()
    assert gpt_runs.spec_of(run).corpus == str(path)
