"""What every comparison does around its work: check the spec, read the data, keep what comes of it, tell the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from checkpoints.run import Run
from engine.runs.events import Classified, Event, Progress
from engine.runs.messages import Control, Stopped, heed
from engine.runs.spec import BadSpec, DataSpec
from engine.runs.writes import Writes


class Work(Protocol):
    """The work of one comparison on data that is read."""

    def loaded(self) -> Event:
        """What was read."""

    def keep(self, run: Run, writes: Writes) -> None:
        """Write everything that comes of it into ``run``. Raises :class:`OSError`."""

    def run(self) -> Generator[Event, None, None]:
        """Do it. Raises :class:`Stopped`."""

    def results(self) -> dict[str, dict[str, Any]]:
        """Figures of each method so far."""

    def verdict(self) -> str:
        """What the figures say, in a few sentences."""


def compare(spec: DataSpec, control: Control, run: Run | None, read: Callable[[], Work]) -> Iterator[Event]:
    """Everything that happens in a comparison; the last event is :class:`Classified`, also after a :class:`Stop`.

    What comes of it is written into ``run`` as it comes. Raises :class:`engine.runs.spec.BadSpec`, :class:`OSError` and
    what ``read`` and the work raise.
    """
    if problems := spec.validate():
        raise BadSpec(problems)
    begun, reason, writes = time.monotonic(), "done", Writes()
    work: Work | None = None
    try:
        yield Progress(f"reading {spec.data}", 0, 0)
        found = read()
        yield from heed(control, 0)
        work = found
        yield work.loaded()
        if run is not None:
            work.keep(run, writes)
        yield from writes.watch(work.run())
        yield from writes.settle(control)
    except Stopped:
        reason = "stopped"
        yield from writes.abandon()
    results = work.results() if work is not None else {}
    verdict = work.verdict() if work is not None else ""
    spent = round(time.monotonic() - begun, 3)
    yield Classified(reason, len(results), None, run.name if run is not None else "", spent, results, verdict)
