"""Tiny specs, texts and small loops that the tests share."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import forked

if TYPE_CHECKING:
    from engine.gpt.spec import TrainSpec
    from engine.runs.events import Event
    from engine.runs.messages import Control

PROJECT = Path(__file__).parent.parent
INFERNO = PROJECT.parent / "shared" / "data" / "inferno.txt"


def make_verse(lines: int, seed: int = 5) -> str:
    """Lines of words over a small alphabet, one of its letters outside ASCII."""
    rng = random.Random(seed)
    syllables = ["ma", "re", "lo", "sel", "va", "tì", "no", "gu", "i'"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(40)]
    return "\n".join(" ".join(rng.choices(words, k=5)) for _ in range(lines)) + "\n"


VERSE = make_verse(120)

TINY: dict[str, Any] = {
    "steps": 40,
    "layers": 2,
    "heads": 2,
    "width": 16,
    "context": 8,
    "batch": 4,
    "warmup": 5,
    "evaluate_every": 10,
    "sample_every": 10,
    "sample_length": 12,
    "patience": 0,
    "save_every": 1e9,
    "device": "cpu",
    "threads": 1,
}
# The switches of the presets that differ most, on models small enough for a test.
NANO: dict[str, Any] = {**TINY, "preset": "nano"}
KARPATHY: dict[str, Any] = {**TINY, "preset": "karpathy", "warmup": 0, "width": 32}
FAST: dict[str, Any] = {**TINY, "preset": "fast", "warmup": 0}


def spec(corpus: Path | str = "", **changes: Any) -> TrainSpec:
    """A valid spec of a tiny model."""
    from engine.gpt.spec import build

    return build({**NANO, "corpus": str(corpus), **changes}, preset_for_auto="nano")


def new_run(made: TrainSpec) -> Any:
    """A run directory for ``made``."""
    from engine.gpt import runs as gpt_runs

    return gpt_runs.create(made)


def train(
    made: TrainSpec,
    *,
    run: Any = None,
    resume: bool = False,
    control: Control | None = None,
    on: Callable[[Event, Control], object] | None = None,
) -> list[Event]:
    """Every event of a training; ``on`` sees each as it comes and can send messages."""
    from engine.gpt.train import train as task
    from engine.runs.messages import Control

    control = control or Control()
    events = []
    for event in task(made, control, run=run, resume=resume):
        events.append(event)
        if on is not None:
            on(event, control)
    return events


def launch(run: Any, control: Control) -> Iterator[Event]:
    """What a follower reads of ``run`` while a process of its own works on it."""
    from engine.runs import owner

    told = owner.journal_size(run)
    return owner.attend(run, owner.spawn(run), control, told)


def stop_at(step: int) -> Callable[[Event, Control], None]:
    """Ask to stop as soon as ``step`` is told."""
    from engine.runs.events import Step
    from engine.runs.messages import Stop

    def look(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == step:
            control.send(Stop())

    return look


def only(kind: type, events: list[Any]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def notices(kind: str, events: list[Any]) -> list[Any]:
    """The notices of one kind."""
    from engine.runs.events import Notice

    return [event for event in only(Notice, events) if event.kind == kind]


def measured(events: list[Any]) -> list[tuple[int, float, float, float]]:
    """What the steps measured that does not depend on the clock."""
    from engine.runs.events import Step

    return [(e.step, e.loss, e.gradient_norm, e.learning_rate) for e in only(Step, events)]


def samples(events: list[Any]) -> dict[str, tuple[str, str]]:
    """Prompt and text of every sample that ended, by its name."""
    from engine.runs.events import SampleText

    texts: dict[str, str] = {}
    prompts: dict[str, str] = {}
    ended = {}
    for event in only(SampleText, events):
        texts[event.sample] = texts.get(event.sample, "") + event.text
        prompts[event.sample] = prompts.get(event.sample, "") + event.prompt
        if event.done:
            ended[event.sample] = (prompts[event.sample], texts[event.sample])
    return ended


def weights(run: Any, step: int) -> dict[str, bytes]:
    """The verified tensors' bytes of a checkpoint."""
    from checkpoints import store

    _, contents = store.read(run.checkpoints / store.name_of(step))
    return contents


@dataclass(frozen=True)
class Ran:
    """What a command did in this process."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def python(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own, with nothing loaded."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=PROJECT, **options)


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, to its end."""
    full = [sys.executable, "-m", "llmlab_tui", *map(str, arguments)]
    return subprocess.run(full, capture_output=True, text=True, timeout=120, check=False, cwd=PROJECT, **options)


def forked_python(code: str, *arguments: object) -> str:
    """What ``code`` prints in a process of its own that has the libraries loaded."""
    with process([sys.executable, "-c", code, *map(str, arguments)]) as child:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
    return str(out)


@contextlib.contextmanager
def process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test, forked where that is possible."""
    with forked.Code(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT, **options
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def records(text: str) -> list[dict[str, Any]]:
    """JSON objects, one a line."""
    return [json.loads(line) for line in text.splitlines()]


class FailAt:
    """A system call that raises ``error`` at the ``k``-th of all the calls counted by ``counter``."""

    def __init__(self, error: int, k: int) -> None:
        self.error, self.k, self.count = error, k, 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, counted."""

        def counted(*arguments: Any) -> Any:
            self.count += 1
            if self.count == self.k:
                raise OSError(self.error, os.strerror(self.error))
            return call(*arguments)

        return counted

    @property
    def happened(self) -> bool:
        """Whether the call failed."""
        return self.count >= self.k
