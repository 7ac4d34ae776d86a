"""Libraries are imported whatever other libraries are there, or are being imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from workbench import PROJECT

from engine.imports import import_without_jax

TORCH = """
import time
while not getattr(__import__("builtins"), "go", False):
    time.sleep(0.01)
time.sleep(0.5)
class Tensor: ...
"""
PROGRAM = """
import builtins, sys, threading, time
import numpy as np
thread = threading.Thread(target=__import__, args=("torch",))
thread.start()
while "torch" not in sys.modules:
    time.sleep(0.01)
builtins.go = True
from engine.comparison import statistics
assert statistics.paired_test(np.eye(6)[0], np.eye(6)[1]).p <= 1
assert statistics.wilson(3, 6)[0] < 0.5
thread.join()
print("done")
"""


def test_the_statistics_are_computed_while_another_thread_imports_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)  # takes long, and has no Tensor until its end
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(PROJECT)!r}]\n{PROGRAM}"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr


def test_a_library_that_would_use_jax_does_not_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jax.py").write_text("")
    found = "try:\n    import jax\n    has_jax = True\nexcept ImportError:\n    has_jax = False\n"
    for name in ("looks_first", "looks_later"):
        (tmp_path / f"{name}.py").write_text(found)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("jax", "looks_first", "looks_later"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not import_without_jax("looks_first").has_jax
    assert __import__("looks_later").has_jax  # others find it as before
    for name in ("jax", "looks_first", "looks_later"):
        sys.modules.pop(name, None)
