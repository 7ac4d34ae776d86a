"""``llmlab-tui export-metrics``, ``compare`` and ``report``: what runs measured, elsewhere and beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import after_time
from engine.runs.spec import BadSpec, Problem
from tui import units
from tui.command.driven import DONE
from tui.command.options import Json, RunNames
from tui.output import print_json, print_message, say
from tui.text import safe

if TYPE_CHECKING:
    from engine.report.compare import Compared

ROWS = 12  # of the table of losses


def export_metrics(
    run: RunNames,
    /,
    *,
    to: Annotated[tuple[Literal["csv", "jsonl", "parquet", "tensorboard"], Path], Parameter(negative="")],
) -> int:
    """Write the metrics and samples of runs into a folder, for pandas, TensorBoard, trackio or W&B.

    Each run gets a folder of its name there. What a comparison came to is also written as tables in Markdown. Columns
    and tags are listed in docs/reports.md.

    Parameters
    ----------
    to
        The format, then the folder: --to csv DIR.
    """
    from engine.report.export import export

    kind, folder = to
    for found in [runs.find(home.runs(), name) for name in run]:
        written = export(found, kind, folder.expanduser())
        print_message(f"exported {found.name}")
        say(safe(str(written.absolute()), lines=False))
    return DONE


def compare(
    run: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    axis: Literal["step", "epoch", "tokens", "time"] = "step",
    smoothing: float = 0.0,
    json: Json = False,
) -> int:
    """Compare runs: the settings that differ, figures with 95% intervals, losses beside each other.

    For comparisons of methods on the same judged items, all methods are tested in pairs. A warning says where data
    differ.

    Parameters
    ----------
    run
        Two or more runs: name, path or latest.
    axis
        What losses are listed by; time is seconds of training.
    smoothing
        With --json: share of the smoothed training loss that each step keeps, from 0 to below 1.
    """
    from engine.report import compare as reading

    found = {one.path: one for one in (runs.find(home.runs(), name) for name in run)}
    problems = [Problem("run", "give two or more different runs")] if len(found) < 2 else []
    if not 0 <= smoothing < 1:
        problems.append(Problem("smoothing", "must lie from 0 to below 1"))
    if problems:
        raise BadSpec(problems)
    compared = reading.compare([*found.values()], axis, smoothing)
    for warning in compared.warnings:
        print_message(f"warning: {warning}")
    if json:
        print_json(reading.record(compared))
        return DONE
    names = [after_time(one.name) for one in compared.runs]
    rows = [[one.name, one.state, f"{one.step:,}", units.best(one), one.corpus] for one in compared.runs]
    _table(["run", "state", "steps", "best", "data"], rows, left=(0, 1, 4))
    differences = compared.differences.items()
    settings = [[name.replace("_", " "), *map(_setting, each)] for name, each in differences]
    _section("settings that differ", ["", *names], settings, left=(0,))
    if any(story.validation for story in compared.stories):
        _section("validation loss, nats per character", [axis, *names], _losses(compared))
    _print_methods(compared)
    return DONE


def report(
    run: RunNames,
    /,
    *,
    out: Path | None = None,
    sample: Annotated[list[int] | None, Parameter(negative="")] = None,
) -> int:
    """Write a report of a run: a page of Markdown with pictures of its curves, figures, samples, data and settings.

    Parameters
    ----------
    out
        The folder to write into, for several runs a folder in it for each; by default one named after the run, here.
    sample
        Of a training: a step whose sample is shown; may be given several times. By default the first, best and last.
    """
    from engine.report.page import write

    found = [runs.find(home.runs(), name) for name in run]
    for one in found:
        folder = (out.expanduser() if out else Path()) / (f"{one.name}-report" if out is None or len(found) > 1 else "")
        page = write(one, folder.absolute(), sample or ())
        say(safe(str(page), lines=False))
    return DONE


def _print_methods(compared: Compared) -> None:
    """Every method with its figure and, where all judged the same items, how it differs from the best of them."""
    best, tests = compared.against_best()
    heads, rows = ["run", "method", "measure", "figure", "95%", "n"], []
    for one in compared.methods:
        row = [
            after_time(one.run),
            one.method,
            one.measure,
            f"{one.figure:.4f}",
            _interval(one.low, one.high),
            f"{one.n:,}",
        ]
        name = f"{one.run}: {one.method}"
        if (test := tests.get(name)) is not None:
            row += [f"{test.mean:+.4f}", _interval(test.low, test.high), _p(test.p)]
        elif best:
            row += ["best" if name == best else "–", "", ""]
        rows.append(row)
    _section("methods", heads + ["best less it", "95%", "p (Holm)"] * bool(best), rows, left=(0, 1, 2))
    if best:
        count = len(compared.pairs) // 2
        say(f"paired tests on the same items; p is adjusted for all {count:,} pairs, which --json lists")


def _losses(compared: Compared) -> list[list[str]]:
    """At round places of the axis the last validation loss of each run until then."""
    from engine.report.svg import ticks

    last = max(x for story in compared.stories for x, _ in story.validation)
    places = [*ticks(0, last, ROWS, 1.0 if compared.axis == "step" else 0.0), last] if last > 0 else [0.0]
    return [
        [
            f"{x:,.0f}" if x == int(x) else f"{x:,.4g}",
            *("" if (loss := story.validation_at(x)) is None else units.loss(loss) for story in compared.stories),
        ]
        for x in dict.fromkeys(places)
    ]


def _setting(value: Any) -> str:
    return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) or math.isnan(high) else f"{low:.4f} to {high:.4f}"


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> None:
    if rows:
        say(f"\n{title}")
        _table(heads, rows, left)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> None:
    """Print columns, those in ``left`` on the left."""
    shown = [[safe(cell, lines=False) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [
            f"{cell:<{width}}" if place in left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
