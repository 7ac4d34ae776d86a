"""Metrics of runs as files of other programs: tables as CSV, JSON lines or Parquet, and event files of TensorBoard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine import markdown, model_folder
from engine.report import tables
from engine.report.tables import TABLES, Block
from engine.runs import codec
from engine.runs.spec import BadSpec, Problem

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "jsonl", "parquet", "tensorboard")
RECORD = "export.json"
"""says in an exported folder what it holds"""
ROWS = 10_000  # of a table, until they are written
_NO_TENSORBOARD = "its event files need the package tensorboard: pip install 'llmlab-tui[tensorboard]'"


def export(run: Run, kind: str, folder: Path) -> Path:
    """Write the metrics of ``run`` in a format, one of ``FORMATS``, into a folder of its name in ``folder``.

    What an earlier export of the run wrote there is replaced as a whole. A journal is read and written in blocks.
    Returns the folder. Raises :class:`engine.runs.spec.BadSpec` where TensorBoard is not installed,
    :class:`checkpoints.store.CheckpointError` for a folder that holds something else, and :class:`OSError`.
    """
    target = folder / run.name
    if target.exists() and Run(target).read_json(RECORD).get("run") != run.name and any(target.iterdir()):
        raise CheckpointError(f"{target} is not empty and holds no export of {run.name}: choose another folder")
    results = list(tables.of_results(run))
    page = results_page(results)
    with model_folder.replaced(target) as temporary:
        writer = _TensorBoard(page, temporary) if kind == "tensorboard" else _Files(temporary, kind)
        with contextlib.closing(writer):
            for block in chain(tables.of_journal(run), results):
                writer.write(block)
        if page:
            (temporary / "results.md").write_text("\n".join([*page, ""]), "utf-8", "replace")
        model_folder.write_json(temporary / RECORD, {"run": run.name, "format": kind})
    return target


def results_page(results: Iterable[Block]) -> list[str]:
    """Blocks of :func:`engine.report.tables.of_results` as tables in Markdown; nothing for a training."""
    lines: list[str] = []
    for block in results:
        rows = zip(*block.columns.values(), strict=True)
        shown = ([markdown.code(value) if isinstance(value, str) else value for value in row] for row in rows)
        lines += [f"## {block.table.replace('_', ' ').capitalize()}", ""]
        lines += [*markdown.table([markdown.visible(name) for name in block.columns], shown), ""]
    return lines[:-1]


class _Files:
    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self._open: dict[str, _Table] = {}

    def write(self, block: Block) -> None:
        if block.table not in self._open:
            kinds = TABLES.get(block.table) or {name: _kind(column) for name, column in block.columns.items()}
            self._open[block.table] = _Table(self._folder / f"{block.table}.{self._kind}", self._kind, kinds)
        self._open[block.table].add(block.columns)

    def close(self) -> None:
        for table in self._open.values():
            table.close()


class _Table:
    def __init__(self, path: Path, kind: str, kinds: Mapping[str, type]) -> None:
        import pyarrow as pa

        types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
        self._kinds, self._schema = kinds, pa.schema([(name, types[of]) for name, of in kinds.items()])
        module, name = _WRITERS.get(kind, ("", ""))
        self._file = getattr(import_module(module), name)(path, self._schema) if module else _JsonLines(path)
        self._waiting: list[pa.Table] = []

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        import pyarrow as pa

        made = {name: _fitting(self._kinds[name], column) for name, column in columns.items()}
        self._waiting.append(pa.Table.from_pydict(made, self._schema))
        if sum(map(len, self._waiting)) >= ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._file.write_table(pa.concat_tables(self._waiting).combine_chunks())
            self._waiting = []


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(codec.plain(row)) + "\n")

    def close(self) -> None:
        self._file.close()


_WRITERS = {"csv": ("pyarrow.csv", "CSVWriter"), "parquet": ("pyarrow.parquet", "ParquetWriter")}
_NAMES = {
    "steps": {
        "loss": "train/loss",
        "learning_rate": "train/learning_rate",
        "gradient_norm": "train/gradient_norm",
        "tokens_per_second": "train/tokens_per_second",
        "peak_share": "train/peak_share",
        "epoch": "train/epoch",
    },
    "evaluations": {
        "val_loss": "validation/loss",
        "bits_per_character": "validation/bits_per_character",
        "train_loss": "validation/train_loss",
    },
}
"""how TensorBoard calls the columns of a training"""


class _TensorBoard:
    """Event files, by torch's own writer. Scalars are of 32 bits there."""

    def __init__(self, page: Sequence[str], folder: Path) -> None:
        """``page`` are the results of a comparison in Markdown. Raises :class:`engine.runs.spec.BadSpec`."""
        try:
            from tensorboard.compat.proto.summary_pb2 import Summary
            from torch.utils.tensorboard import FileWriter
            from torch.utils.tensorboard.summary import text
        except ModuleNotFoundError:
            raise BadSpec([Problem("tensorboard", _NO_TENSORBOARD)]) from None
        self._page, self._summary = page, Summary
        self._text: Any = text
        self._file = FileWriter(folder, max_queue=1000)
        self._last = 0.0

    def write(self, block: Block) -> None:
        columns = {name: _plain(column) for name, column in block.columns.items()}
        times = columns.get("wall_time", [])
        self._last = times[-1] if times else self._last
        match block.table:
            case "steps" | "evaluations" as table:
                self._scalars(columns["step"], times, {_NAMES[table][name]: columns[name] for name in _NAMES[table]})
            case "samples":
                fields = (columns[name] for name in ("step", "wall_time", "sample", "text"))
                for step, at, sample, shown in zip(*fields, strict=True):
                    asked = "" if sample == str(step) else " on request"
                    self._file.add_summary(self._text(f"sample{asked}", "\n".join(markdown.fenced(shown))), step, at)
            case "method_steps":
                (name,) = columns["contender"]
                shown = {f"{name}/{one}": columns[one] for one in ("loss", "held_out_loss", "held_out_score")}
                self._scalars(columns["step"], times, shown)
            case "labels":
                (name,) = columns["contender"]
                self._scalars(columns["labels"], times, {f"{name}/accuracy by labels per class": columns["accuracy"]})
            case "results":
                for row in zip(*columns.values(), strict=True):
                    of = dict(zip(columns, row, strict=True))
                    numbers = {name: value for name, value in of.items() if type(value) in (int, float)}
                    shown = {f"results/{of['method']}/{name}": [value] for name, value in numbers.items()}
                    self._scalars([0], [self._last], shown)
                self._file.add_summary(self._text("results", "\n".join(self._page)), 0, self._last)

    def close(self) -> None:
        self._file.close()

    def _scalars(self, steps: Sequence[int], times: Sequence[float], columns: Mapping[str, Sequence[Any]]) -> None:
        """One event for each step; a column has no value where it holds None."""
        tags = {markdown.visible(name): column for name, column in columns.items()}
        for place, (step, at) in enumerate(zip(steps, times, strict=True)):
            values = ((tag, column[place]) for tag, column in tags.items())
            made = [self._summary.Value(tag=tag, simple_value=one) for tag, one in values if one is not None]
            self._file.add_summary(self._summary(value=made), step, at)


def _plain(column: Sequence[Any]) -> list[Any]:
    """Python's own numbers."""
    return column.tolist() if hasattr(column, "tolist") else list(column)


def _kind(column: Iterable[Any]) -> type:
    """The type that holds all values of a column: numbers, or text."""
    kinds = {type(value) for value in column if value is not None}
    return str if str in kinds or not kinds else float if float in kinds else int


def _fitting(kind: type, column: Sequence[Any]) -> Sequence[Any]:
    """A column as Arrow takes it: texts in UTF-8, those that cannot be encoded with question marks."""
    if kind is not str:
        return column
    return [None if value is None else str(value).encode("utf-8", "replace").decode() for value in column]
