"""A run as tables: metrics and samples of its journal, and what a comparison came to, in blocks of columns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.report import journal, methods
from engine.report.journal import Happened, Steps
from engine.runs.listing import results_of

_PLACE = {"tokens": float, "epoch": float, "seconds": float, "wall_time": float}
TABLES: Mapping[str, Mapping[str, type]] = {
    "steps": {**dict.fromkeys(journal.FIELDS, float), "step": int, **_PLACE},
    "evaluations": {
        "step": int,
        **dict.fromkeys(("val_loss", "bits_per_character", "train_loss", "best_val_loss"), float),
        "best_step": int,
        **_PLACE,
    },
    "samples": {"step": int, "sample": str, "prompt": str, "text": str, **_PLACE},
    "method_steps": {
        "contender": str,
        "step": int,
        **dict.fromkeys(("loss", "held_out_loss", "held_out_score"), float),
        "note": str,
        "wall_time": float,
    },
    "labels": {
        "contender": str,
        "labels": int,
        "rows": int,
        **dict.fromkeys(("accuracy", "low", "high"), float),
        "draws": int,
        "wall_time": float,
    },
}
"""of a journal: each table with its columns; losses in nats, times in seconds, ``wall_time`` in Unix time"""
_EVENTS = {"evaluated": "evaluations", "contender_step": "method_steps", "curve_point": "labels"}


@dataclass(frozen=True)
class Block:
    """Rows of a table, column by column."""

    table: str
    columns: Mapping[str, Any]
    """lists or arrays ``(rows,)``"""


def of_journal(run: Run) -> Iterator[Block]:
    """What the journal of ``run`` says, in its order. Raises :class:`OSError`."""
    samples = Samples()
    for part in journal.read(run):
        if isinstance(part, Steps):
            yield Block("steps", {name: part.columns[name] for name in TABLES["steps"]})
            continue
        place, table = asdict(part.place), _EVENTS.get(str(part.record.get("event")), "")
        if table:
            row = part.record | place
            yield Block(table, {name: [_value(kind, row.get(name))] for name, kind in TABLES[table].items()})
        elif (sample := samples.add(part)) is not None:
            row = sample | place
            yield Block("samples", {name: [row[name]] for name in TABLES["samples"]})


class Samples:
    """Puts the parts of samples together."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Any, Any], tuple[str, list[str]]] = {}
        self._ended: set[tuple[int, str, str]] = set()
        """a run that resumes at a step may take its sample again"""

    def add(self, part: Happened) -> dict[str, Any] | None:
        """The sample that ended with this event: step, sample, prompt and text."""
        record = part.record
        if record.get("event") != "sample_text":
            return None
        name = step, sample = (_value(int, record.get("step")), _value(str, record.get("sample")))
        if (prompt := _value(str, record.get("prompt"))) or name not in self._parts:
            self._parts[name] = prompt or "", []
        self._parts[name][1].append(_value(str, record.get("text")) or "")
        if record.get("done") is not True or step is None or sample is None:
            return None
        prompt, parts = self._parts.pop(name)
        text = "".join(parts)
        if (step, prompt, text) in self._ended:
            return None
        self._ended.add((step, prompt, text))
        return {"step": step, "sample": sample, "prompt": prompt, "text": text}


def of_results(run: Run) -> Iterator[Block]:
    """What a comparison came to: a row for each method, and for each two methods on the same items."""
    tests: list[dict[str, Any]] = []
    if results := results_of(run):
        rows = [{"method": name, **methods.scalars(one)} for name, one in results.items()]
        names = dict.fromkeys(name for row in rows for name in row)
        yield Block("results", {name: [row.get(name) for row in rows] for name in names})
        with contextlib.suppress(CheckpointError):  # what each method did with each item cannot be read
            tests = methods.records(methods.pairs_of({run.name: methods.judged_of(run)}))
    if tests:
        yield Block("paired_tests", {name: [test[name] for test in tests] for name in tests[0]})


def _value(kind: type, value: Any) -> Any:
    """A value of this type from a file, else None."""
    if kind is float:
        return float(value) if type(value) in (int, float) else None
    return value if type(value) is kind else None
