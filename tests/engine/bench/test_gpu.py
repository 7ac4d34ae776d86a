"""The check of a GPU, rehearsed on the CPU in a checkout where the libraries of the screen are missing."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from workbench import PROJECT

from engine.bench import gpu, rows

MISSING = (
    "textual",
    "cyclopts",
    "plotext",
    "platformdirs",
    "datasets",
    "bm25s",
    "ir_measures",
    "sentence_transformers",
)
FAULTY = """
import os, threading
from engine.bench.rows import within

def broken(setup):
    yield within("before", 0.0, 1.0)
    raise RuntimeError("it broke |\\n\\x1b[31m")

def gone(setup):
    os._exit(3)

def late(setup):
    yield within("before", 0.0, 1.0)
    threading.Event().wait(60)
"""
PROGRAM = """
import sys
from engine.bench import __main__, gpu
faulty = {name: gpu.Part("faulty", name, limit=limit) for name, limit in (("broken", 60), ("gone", 60), ("late", 1))}
gpu.PARTS = faulty | gpu.PARTS
sys.exit(__main__.main(["gpu", *sys.argv[1:]]))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with ``arguments``, in which the libraries of the screen cannot be imported."""
    for name in MISSING:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(folder)])}
    environment.pop("LLMLAB_HOME", None)
    return subprocess.run(
        [sys.executable, "-P", *arguments], env=environment, capture_output=True, text=True, timeout=500, check=False
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Every part of a quick check after three that fail, and the file that it wrote."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "faulty.py").write_text(FAULTY)
    done = run(folder, "-c", PROGRAM, "--device", "cpu", "--quick", "--out", str(folder / "out.json"))
    assert (folder / "out.json").exists(), done.stderr
    return done, json.loads((folder / "out.json").read_text())


def test_every_part_runs_where_the_screen_is_not_installed(whole: Any) -> None:
    done, everything = whole
    found = {name: [row for row in everything["rows"] if row["part"] == name] for name in everything["parts"]}
    assert list(found) == ["machine", "broken", "gone", "late", *list(gpu.PARTS)[1:]]
    assert everything["machine"]["torch"] == torch.__version__
    for name in gpu.PARTS:
        assert found[name], name
        assert {row["result"] for row in found[name]} <= {rows.OK, rows.SKIPPED}, found[name]
    for row in everything["rows"]:
        assert row["reason"] or row["result"] == rows.OK
        assert row["figures"] or row["result"] != rows.OK
        assert all(math.isfinite(value) for value in row["figures"].values() if isinstance(value, float))
    for name in ("sync", "memory"):
        assert [row["reason"] for row in found[name]] == [rows.NEEDS_CUDA]
    skips = {row["part"] for row in everything["rows"] if row["result"] == rows.SKIPPED}
    assert skips == {"sync", "memory", "step", "features"}
    assert done.returncode == 1


def test_a_part_that_fails_crashes_or_hangs_is_reported_and_the_others_go_on(whole: Any) -> None:
    _, everything = whole
    told = [(row["part"], row["result"], row["reason"]) for row in everything["rows"]][1:6]
    assert told == [
        ("broken", rows.OK, ""),
        ("broken", rows.FAILED, "RuntimeError: it broke | \x1b[31m"),
        ("gone", rows.FAILED, "the process ended with 3"),
        ("late", rows.OK, ""),
        ("late", rows.FAILED, "not done after 1 s"),
    ]
    assert everything["failed"] == 3
    assert "Traceback" in everything["parts"]["broken"]["output"]


def test_a_table_is_printed_and_the_same_as_json_on_the_last_line(whole: Any) -> None:
    done, everything = whole
    *lines, last = done.stdout.splitlines()
    assert json.loads(last)["rows"] == everything["rows"]
    head, line, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert (len(head), {len(cells) for cells in (line, *body)}) == (5, {5})
    assert [(cells[0], cells[1]) for cells in body] == [(row["part"], row["compared"]) for row in everything["rows"]]
    assert len({len(line) for line in lines}) == 1
    assert "\x1b" not in done.stdout + done.stderr


def test_nothing_failed_is_exit_status_0(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "engine.bench", "gpu", "--quick", "--only", "machine")
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, "-m", "engine.bench", "gpu", "--only", "nothing").returncode == 2


@pytest.mark.parametrize(("difference", "result"), [(0.5, "ok"), (1.0, "ok"), (1.5, "FAILED"), (math.nan, "FAILED")])
def test_a_difference_beyond_the_tolerance_fails(difference: float, result: str) -> None:
    assert rows.within("a and b", difference, 1.0).result == result
