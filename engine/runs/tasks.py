"""Tasks on data sets as runs: made, owned, recorded and taken up again like a training, under the same directories."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from data import beir, choices, packaged, sources, tables
from engine.runs import owner
from engine.runs.events import Event, Finished, Notice
from engine.runs.messages import Control
from engine.runs.spec import BadSpec, DataSpec, to_dict

BUNDLED = frozenset(
    {tables.BUNDLED, tables.FEELINGS, choices.BUNDLED, beir.BUNDLED, packaged.MINILM, "auto", "bundled"}
)
"""names that never mean a file"""
_ENDING = re.compile(r"\.(csv|tsv|json|jsonl|ndjson|parquet)(\.gz|\.zst)?$")

S = TypeVar("S", bound=DataSpec)


@dataclass(frozen=True)
class TaskRuns(Generic[S]):
    """The runs of one task."""

    kind: type[S]
    work: Callable[[S, Control, Run], Iterator[Event]]
    paths: tuple[str, ...]
    """fields of the spec that may name a file or a folder"""

    def create(self, spec: S) -> Run:
        """Make the run directory for ``spec``. Raises :class:`OSError` and :class:`engine.runs.spec.BadSpec`."""
        if problems := spec.validate():
            raise BadSpec(problems)
        name = spec.name or f"{self.kind.task}-{_ENDING.sub('', Path(spec.data).name) or 'data'}"
        made: Any = spec
        made = replace(made, **{field: absolute(getattr(spec, field)) for field in self.paths})
        return runs.create(home.runs(), name, to_dict(made), owner.environment())

    def spec_of(self, run: Run) -> S:
        """The spec of a run. Raises what :func:`engine.runs.owner.spec_as` raises."""
        return owner.spec_as(run, self.kind)

    def drive(self, run: Run, control: Control) -> Iterator[Event]:
        """Own ``run``, do its work and record everything that happens.

        Raises what the work raises, recorded first, and :class:`checkpoints.lock.Locked`.
        """
        return owner.own(run, control, lambda _: with_others(self.work(self.spec_of(run), control, run)))


def with_others(work: Iterator[Event]) -> Iterator[Event]:
    """Pass the events of the work on; other processes that torchrun started wait for what it shares until its end."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield from work
        return
    from engine.ranks import LOST, join

    ranks = join()
    try:
        for event in work:
            if isinstance(event, Finished) and not ranks.close():
                yield Notice(LOST, "warning", "ranks")
            yield event
    finally:
        ranks.close()


def absolute(name: str) -> str:
    """A path that is there, from the root, since who takes the run up may stand in another folder."""
    path = sources.existing(name)
    if path is None and "," in name:  # several encoders
        return ",".join(absolute(part.strip()) for part in name.split(","))
    return str(path.absolute()) if path is not None and name not in BUNDLED else name
