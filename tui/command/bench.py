"""``llmlab-tui bench``: every benchmark by its name, one table of rows on stdout, and JSON on its last line."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.bench import gpu
from engine.bench.gpu import Part
from engine.bench.rows import FAILED, table
from engine.bench.setup import Setup
from engine.machine import cpu_name
from tui.output import print_json, print_message, say

BENCHES: Mapping[str, Part] = {
    "start": Part("tui.command.bench_terminal", "from the start of the process to the first complete picture"),
    "ui": Part("tui.command.bench_terminal", "training with and without the screen"),
    "panes": Part("tui.command.bench_terminal", "what Classify, Choose and Retrieve send while they work"),
    **gpu.BENCHES,
}


def measure(what: str, setup: Setup, *, as_json: bool) -> int:
    """Run one benchmark in this process and print its rows; 1 where one of them failed."""
    rows = []
    print_message(f"bench {what} on {cpu_name()}")
    with tempfile.TemporaryDirectory(prefix="llmlab-bench-") as home:
        if not setup.model:  # which may be a run of the user
            os.environ["LLMLAB_HOME"] = home
        for row in gpu.rows_of(what, BENCHES[what], setup):
            print_message("  ".join(filter(None, row.cells())))
            rows.append(row)
    for line in () if as_json else table(rows):
        say(line)
    print_json({"bench": what, "machine": cpu_name(), "rows": [dataclasses.asdict(row) for row in rows]})
    return int(any(row.result == FAILED for row in rows))


def check_gpu(setup: Setup, only: Sequence[str], out: Path | None, *, as_json: bool) -> int:
    """Check and measure the device (:mod:`engine.bench.gpu`); 1 where a row failed."""
    record = gpu.check(setup, only=only, out=out, say=print_message if as_json else say, tell=print_message)
    print_json(record)
    return 1 if record["failed"] else 0
