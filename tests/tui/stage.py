"""The screen without a terminal: what it shows, hand-made runs, and a trainer that is never started."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.gpt.spec import build
from engine.runs import owner
from engine.runs.events import Evaluated, Event, Finished, Notice, SampleText, Saved, Started, Step
from engine.runs.messages import Control, Detach, Message
from engine.runs.spec import to_dict
from tui.app import LabApp
from tui.follow.story import Story
from tui.tokens import aligned_text
from tui.widgets import editor, glyphs

SIZES = [(60, 20), (80, 24), (120, 40), (200, 50)]
HOSTILE = "\x1b]0;PAYLOAD\x07[red]x[/nonsense] \x1b[2J\x9b31m\x00\x08\u202e[bold"
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e]")


def shown(app: LabApp) -> str:
    """Everything that stands on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


def view(app: LabApp, name: str) -> str:
    """What stands in one view of lines."""
    widget = app.query_one(f"#{name}")
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def controls(app: LabApp) -> list[str]:
    """Characters on the screen that a terminal would act on."""
    return CONTROLS.findall(shown(app).replace("\n", ""))


async def until(pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Let the program run until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "never came true; the screen shows\n" + shown(pilot.app)  # type: ignore[arg-type]
        await asyncio.sleep(0.02)


async def shows(pilot: Pilot[Any], *texts: str) -> None:
    """Let the program run until all ``texts`` stand on the screen together."""

    def all_there() -> bool:
        screen = shown(pilot.app)  # type: ignore[arg-type]
        return all(text in screen for text in texts)

    await until(pilot, all_there)


async def answer(pilot: Pilot[Any], text: str) -> None:
    """Enter ``text`` into the dialog that asks for a line."""
    await until(pilot, lambda: pilot.app.screen.query("Dialog Input"))
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")


async def at_sizes(pilot: Pilot[Any], sizes: Sequence[tuple[int, int]] = SIZES) -> AsyncIterator[tuple[int, int]]:
    """Each size of the terminal in turn, once the screen is laid out at it."""
    for size in sizes:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert pilot.app.size == size
        yield size


def count_glyphs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the characters that are laid out or drawn from now on."""
    counted: Counter[str] = Counter()
    glyph = glyphs.glyph

    def counting(character: str, marks: bool = True) -> tuple[str, int]:
        counted[character] += 1
        return glyph(character, marks)

    for module in (glyphs, editor, aligned_text):
        monkeypatch.setattr(module, "glyph", counting)
    return counted


def started(run: str = "run", *, step: int = 0, steps: int = 100, corpus: str = "verse") -> Started:
    """The first event of a small run."""
    return Started(
        run, step, steps, corpus, "f" * 64, 3000, 20, 2700, 300, 2.996, 2.6, 1.2, 12345, 32, 1 << 20, 1 << 30,
        "CPU", "float32", 1, 1e9, "nano",
    )  # fmt: skip


def step(number: int, loss: float | None = None) -> Step:
    """A step whose loss falls, or is ``loss``."""
    return Step(number, 3.0 - number / 100 if loss is None else loss, 1e-3, 0.5, 1000.0, 0.1, 1.0)


def evaluated(number: int, loss: float) -> Evaluated:
    """An evaluation that is the best so far."""
    return Evaluated(number, loss, loss / 0.6931, loss, loss, number, 0.1)


def sample(number: int, text: str, prompt: str = "\n") -> list[Event]:
    """A whole sample in three pieces."""
    name = str(number)
    return [
        SampleText(number, name, "", prompt),
        SampleText(number, name, text),
        SampleText(number, name, "", done=True),
    ]


def story(run: str = "run", steps: int = 100) -> list[Event]:
    """A finished run: evaluations and samples at every twentieth step."""
    told: list[Event] = [started(run, steps=steps), evaluated(0, 3.0), *sample(0, "sample-0")]
    for number in range(1, steps + 1):
        told.append(step(number))
        if number % 20 == 0:
            told += [evaluated(number, 3.0 - number / 200), *sample(number, f"sample-{number}")]
    told.append(Saved(steps, "/somewhere", 1000, 0.1, 0.01, True))
    told.append(Notice("told at the end"))
    told.append(Finished("steps", steps, 2.5, run, 12.0))
    return told


def recorded(name: str, events: Callable[[str], list[Event]] | None = None, **spec: Any) -> Run:
    """A run directory as a trainer would have left it."""
    made = build({"corpus": "dantesque", "steps": 100, "name": name, **spec}, preset_for_auto="nano")
    run = runs.create(places.runs(), name, to_dict(made), {})
    told = events(run.name) if events else story(run.name)
    assert len(list(owner.record(run, iter(told)))) == len(told)
    return run


class FakeTrainers:
    """Stands in for trainer processes: counts starts, takes messages, plays hand-made events."""

    def __init__(self) -> None:
        self.started: list[Run] = []
        self.messages: list[Message] = []
        self.play: Callable[[str], list[Event]] = lambda run: [started(run), *(step(n) for n in range(1, 6))]

    def spawn(self, run: Run) -> None:
        """As :func:`engine.runs.owner.spawn`, but nothing is started."""

    def attend(self, run: Run, process: object, control: Control, told: int, **_: object) -> Iterator[Event]:
        """As :func:`engine.runs.owner.attend`, until it is asked to stop."""
        from engine.runs.events import Continued, Paused
        from engine.runs.messages import Continue, Pause, Stop

        self.started.append(run)
        yield from self.play(run.name)
        while True:
            for message in control.take():
                self.messages.append(message)
                match message:
                    case Detach():
                        return
                    case Pause():
                        yield Paused(5)
                    case Continue():
                        yield Continued(5)
                    case Stop():
                        yield Finished("stopped", 5, None, run.name, 1.0)
                        return
            control.wait(0.05)


def folded(*told: Event) -> Story:
    """The story of some events."""
    made = Story()
    for event in told:
        made.fold(event)
    return made
