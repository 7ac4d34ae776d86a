"""The journal of a run as columns, with the time of everything, block by block: a long one is never held in memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from checkpoints import store
from checkpoints.journal import Reader, records
from checkpoints.run import Run
from engine.runs.events import Step, from_dict, names_of, renamed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns: TypeAlias = dict[str, NDArray[Any]]

FIELDS = tuple(entry.name for entry in dataclasses.fields(Step) if entry.name != "seconds_left")
_NEEDED = ("step", "tokens_per_second")
_START = b'{"event":"step",'
_BEGUN = ("started", *names_of("loaded"))
"""events that take back what was recorded before: what came of later steps, or everything"""
_BEGINS = tuple(f'{{"event":"{name}",'.encode() for name in _BEGUN)
_STAMP = re.compile(r"(\d{8}-\d{6})-")


@dataclass(frozen=True)
class Steps:
    """Consecutive steps of a training: the fields asked for and those of :class:`Place`, by name, ``(steps,)``."""

    columns: Columns


@dataclass(frozen=True)
class Place:
    """Where a run was. ``tokens`` and ``epoch`` are NaN where the journal does not tell."""

    tokens: float
    """that it had been trained on"""
    epoch: float
    seconds: float
    """spent in training steps"""
    wall_time: float
    """Unix time"""


@dataclass(frozen=True)
class Happened:
    """Any other event, as a record of this version."""

    record: dict[str, Any]
    place: Place


def read(run: Run, fields: Sequence[str] = FIELDS) -> Iterator[Steps | Happened]:
    """Everything in the journal of ``run`` that a later start has not taken back, in order.

    Times are those that the journal holds. Between two of them the duration of each step tells; in journals of earlier
    versions, which hold none, everything is counted from the creation of the run. Raises :class:`OSError`.
    """
    begun = _begun(run)
    limits = [*accumulate(reversed(begun), min)][::-1]  # what later starts have left, by the starts that were read
    clock, starts = _Clock(run), 0
    for lines in _blocks(run):
        others = [place for place, line in enumerate(lines) if not line.startswith(_START)]
        of_steps = [*lines]
        for place in reversed(others):
            del of_steps[place]
        steps = _parsed(of_steps, (*_NEEDED, *fields))
        first = 0
        for count, place in enumerate((*others, len(lines))):
            limit = limits[starts] if starts < len(limits) else None
            if first < (last := place - count):
                yield from clock.steps({name: column[first:last] for name, column in steps.items()}, limit, fields)
                first = last
            for record in map(renamed, records(lines[place : place + 1])):
                begins = lines[place].startswith(_BEGINS)
                starts += begins
                at = clock.at(record)
                if limit is None or begins or _step(record) <= limit:
                    yield Happened(record, at)


def _blocks(run: Run) -> Iterator[list[bytes]]:
    reader = Reader(run.events)
    try:
        while lines := reader.lines():
            yield lines
    finally:
        reader.close()


def _begun(run: Run) -> list[float]:
    """For each start of the run the last step before it that still counts; -1 where nothing does."""
    found: list[float] = []
    rest = b""
    try:
        with store.open_file(run.events) as file:
            while block := file.read(Reader.LIMIT):
                block, _, rest = (rest + block).rpartition(b"\n")
                if b'started"' in block or b'loaded"' in block:  # few blocks of a long journal
                    lines = (line for line in block.split(b"\n") if line.startswith(_BEGINS))
                    found += [_step(one) if one["event"] == "started" else -1.0 for one in records(lines)]
    except FileNotFoundError:
        pass
    return found


def _step(record: dict[str, Any]) -> float:
    step = record.get("step", 0)
    return step if type(step) is int else 0


class _Clock:
    """Counts tokens, epochs and seconds along a journal."""

    def __init__(self, run: Run) -> None:
        spec = run.spec()
        sizes = [_number(spec.get(name)) for name in ("batch", "context")]
        self._tokens_per_step, self._train_tokens = sizes[0] * sizes[1], float("nan")
        self._seconds, self._wall_time = 0.0, _created(run)

    def at(self, record: dict[str, Any]) -> Place:
        """Where the run was at an event."""
        if (told := _number(record.get("time"))) > 0:
            self._wall_time = told
        if record.get("event") == "started":
            self._tokens_per_step = _number(record.get("tokens_per_step"))
            self._train_tokens = _number(record.get("train_tokens"))
        tokens = _step(record) * self._tokens_per_step
        return Place(tokens, tokens / self._train_tokens, self._seconds, self._wall_time)

    def steps(self, columns: Columns, limit: float | None, fields: Sequence[str]) -> Iterator[Steps]:
        """Steps that are readable, and those up to ``limit`` where they are."""
        import numpy as np

        columns = {name: column[~np.isnan(columns["step"])] for name, column in columns.items()}
        spent = self._tokens_per_step / columns["tokens_per_second"]
        spent = np.where(np.isfinite(spent), spent, 0.0)
        wall_time = self._wall_time + np.cumsum(spent)
        if not len(spent):
            return
        self._wall_time = float(wall_time[-1])
        kept = columns["step"] <= (np.inf if limit is None else limit)
        seconds = self._seconds + np.cumsum(spent[kept])
        if not len(seconds):
            return
        self._seconds = float(seconds[-1])
        tokens = columns["step"][kept] * self._tokens_per_step
        places = {"tokens": tokens, "epoch": tokens / self._train_tokens, "seconds": seconds}
        found = {name: columns[name][kept] for name in fields}
        if "step" in found:
            found["step"] = found["step"].astype(np.int64)
        yield Steps(found | places | {"wall_time": wall_time[kept]})


def _parsed(lines: Sequence[bytes], fields: Sequence[str]) -> Columns:
    """``fields`` of steps, each ``(lines,)``; NaN in all of them where a line cannot be read."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import json

    names = [*dict.fromkeys(fields)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        if lines:
            table = json.read_json(pa.BufferReader(b"\n".join(lines)), parse_options=options)
            if table.num_rows == len(lines) and not any(column.null_count for column in table.columns):
                return {name: table[name].to_numpy() for name in names}
    except pa.ArrowException:  # a line is damaged, or of another version
        pass
    found: Columns = {name: np.full(len(lines), np.nan) for name in names}
    for place, line in enumerate(lines):
        for record in records([line]):
            if isinstance(step := from_dict(record), Step):
                for name in names:
                    found[name][place] = getattr(step, name)
    return found


def _number(value: Any) -> float:
    """A count or time from a file; NaN where there is none."""
    return float(value) if type(value) in (int, float) else float("nan")


def _created(run: Run) -> float:
    """When the run was made, by its name; else when its journal was changed last."""
    if (stamp := _STAMP.match(run.name)) is not None:
        try:
            return datetime.strptime(stamp[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            pass
    return run.events.stat().st_mtime
