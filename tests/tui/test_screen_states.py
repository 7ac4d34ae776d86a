"""Every state of a run in every pane that follows one: the sentence, the keys that are lit, and what they do."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from stage import FakeTrainers, recorded, shown, shows, story, until
from states import stand
from textual.pilot import Pilot
from workbench import new_run, spec, stop_at
from workbench import train as trained

from engine.gpt import runs as gpt_runs
from engine.runs.events import Finished
from tui.app import LabApp
from tui.follow.pane import FollowPane
from tui.generate.pane import GeneratePane
from tui.train.pane import TrainPane

PANES = {"train": "1", "classify": "4", "choose": "5", "retrieve": "6"}
STATES = ("none", "starting", "running", "paused", "stopping", "stopped", "finished", "failed", "interrupted")
KEYS = ("f5", "f6", "f7", "f8", "r", "3", "n", "u", "w", "l")
"""those that depend on the state"""
LIVE = {"f6": "Pause", "f7": "Stop"}
SENTENCES = {
    "train": {
        "starting": "○ Starting: loading PyTorch and the corpus.",
        "paused": "‖ Paused at step 5.",
        "stopping": "■ Stopping after this step; saving first.",
        "stopped": "■ Stopped at step 5, saved.",
        "finished": "✓ Finished at step 5, saved.",
        "failed": "✗ Failed at step 5, saved: no space left",
        "interrupted": "▲ Interrupted at step 5, saved: the training process died.",
    },
    "comparison": {
        "starting": "○ Starting: loading libraries and data.",
        "paused": "‖ Paused: 0 of 1 methods have results.",
        "stopping": "■ Stopping; finished methods are kept.",
        "stopped": "■ Stopped: 0 of 1 methods have results; resuming computes the others.",
        "finished": "✓ Finished: 0 of 1 methods have results.",
        "failed": "✗ Failed: no space left. 0 of 1 methods have results.",
        "interrupted": "▲ Interrupted: the process died. 0 of 1 methods have results; resuming computes the others.",
    },
}


async def arrive(pilot: Pilot[int], task: str) -> None:
    """Show the pane of a task."""
    await shows(pilot, "Start training")
    await pilot.press(PANES[task])
    await until(pilot, lambda: pilot.app.here.id == task)  # type: ignore[attr-defined]


def lit(pilot: Pilot[int]) -> dict[str, str]:
    """The keys that work now, of those that depend on the state, with what they say; none is there but dimmed."""
    active = pilot.app.screen.active_bindings
    assert all(binding.enabled for binding in active.values())
    return {key: active[key].binding.description for key in KEYS if key in active}


@pytest.mark.parametrize("task", PANES)
async def test_every_state_says_how_it_stands_and_lights_the_keys_that_work(task: str) -> None:
    sentences = SENTENCES["train" if task == "train" else "comparison"]
    resumes = {"f5": "Resume"} if task == "classify" else {"f5": "Resume", "r": "Resume"}
    sampled = {"f8": "Sample", "3": "Generate"} if task == "train" else {"3": "Generate"}
    expected: dict[str, dict[str, str]] = {
        "none": {"f5": "Start", "3": "Generate", "u": "Defaults"},
        "starting": {**LIVE, "3": "Generate", "n": "New run"},
        "running": {**LIVE, "3": "Generate", "n": "New run"},
        "paused": {**LIVE, "3": "Generate", "n": "New run"},
        "stopping": {"3": "Generate", "n": "New run"},
        "stopped": {**resumes, **sampled, "n": "New run"},
        "finished": {**(resumes if task == "train" else {}), **sampled, "n": "New run"},
        "failed": {**resumes, **sampled, "n": "New run"},
        "interrupted": {**resumes, **sampled, "n": "New run"},
    }
    if task == "train":
        for one in ("running", "paused"):
            expected[one] |= {"f8": "Sample", "w": "Save", "l": "Rate"}
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await arrive(pilot, task)
        for state in STATES:
            pane = await stand(pilot, task, state)
            assert pane.state == state
            if state in sentences:
                await shows(pilot, sentences[state])
            if state not in ("none", "running"):
                await shows(pilot, f" {sentences[state][0]} {state}")
            got = lit(pilot)
            for letter, tasks in {"r": "classify", "l": "classify"}.items():  # a key of its views
                if task in tasks:
                    got.pop(letter, None)
            assert (state, got) == (state, expected[state])


async def test_f5_beside_a_run_never_starts_another_one(
    trainers: FakeTrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def declined(pane: TrainPane, _: object) -> bool:
        asked.append(pane.state)
        return False

    monkeypatch.setattr("tui.train.pane.ask_steps", declined)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await arrive(pilot, "train")
        for state in STATES[1:]:
            pane = await stand(pilot, "train", state)
            resumed: list[object] = []
            pane.resume = resumed.append  # type: ignore[method-assign, assignment]
            await pilot.press("f5")
            await pilot.pause()
            assert not trainers.started
            assert bool(resumed) == (state in ("stopped", "failed", "interrupted"))
    assert asked == ["finished"]


async def test_a_stopped_run_is_resumed_where_it_is_shown(trainers: FakeTrainers) -> None:
    run = recorded("past", lambda name: [*story(name)[:-1], Finished("stopped", 100, None, name)])
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        pilot.app.query_one("#train", FollowPane).open(run)
        await shows(pilot, "■ Stopped at step 100, saved.")
        await pilot.press("r")
        await until(pilot, lambda: trainers.started == [run])
        await shows(pilot, "● running")


async def test_a_finished_run_goes_on_to_a_later_step_that_is_asked_for(trainers: FakeTrainers) -> None:
    run = recorded("past")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        pilot.app.query_one("#train", FollowPane).open(run)
        await shows(pilot, "✓ Finished at step 100, saved.")
        await pilot.press("r")
        await shows(pilot, "Continue to which step?")
        await pilot.press("enter")
        await until(pilot, lambda: trainers.started == [run])
        assert gpt_runs.spec_of(run).steps == 200


async def test_a_stopped_run_is_sampled_from_its_checkpoint_and_taken_to_generate(
    verse: Path, known_peak: float
) -> None:
    asked = spec(verse, steps=2000, sample_length=40, sample_every=0)
    run = new_run(asked)
    list(gpt_runs.owner.record(run, iter(trained(asked, run=run, on=stop_at(4)))))
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        pane = pilot.app.query_one("#train", FollowPane)
        pane.open(run)
        await shows(pilot, "■ Stopped at step", "saved.")
        for number in (1, 2):
            taken = len(pane.story.samples)
            await pilot.press("f8")
            await shows(pilot, "Sample now")
            await pilot.press("enter")
            await until(pilot, lambda taken=taken: len(pane.story.samples) == taken + 1, 60)
            await until(pilot, lambda: pane.story.samples[-1].done)
            assert len(pane.story.samples[-1].text) == 40, number
        first, second = (sample.text for sample in pane.story.samples[-2:])
        assert first != second
        assert "■ Stopped at step" in shown(cast(LabApp, pilot.app))
        await pilot.press("3")
        await until(pilot, lambda: bool(pilot.app.query(GeneratePane)))
        generate = pilot.app.query_one(GeneratePane)
        await until(pilot, lambda: generate.lm is not None and run.name in generate.lm.source, 60)
        pilot.app.action_show_pane("train")  # type: ignore[attr-defined]
        await until(pilot, lambda: pilot.app.here is pane)  # type: ignore[attr-defined]
        await pilot.press("3")  # from now on only the pane: another model may have been chosen there
        await until(pilot, lambda: pilot.app.here is generate)  # type: ignore[attr-defined]
        assert generate.background.kind != "load"
