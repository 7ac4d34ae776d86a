"""What every test gets: a home of its own, and small texts to train on."""

from __future__ import annotations

import gc
import logging
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
from hub_server import stand_in  # noqa: F401 - a fixture
from workbench import VERSE

from checkpoints import home
from checkpoints.run import Run
from engine.runs import owner

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the same suite everywhere; set before torch looks for devices
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as the program does: two workers that compute would block each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # likewise: solvers of tiny problems mostly waited for threads
forked.begin()
gc.set_threshold(200_000, 10, 10)  # hundreds of screens come and go: at the usual 700 it took a tenth of the time


class _Deprecated(logging.Handler):
    """Raises what ``transformers`` logs about a deprecated call in place of warning of it."""

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecated" in (said := record.getMessage()):
            raise DeprecationWarning(said)


logging.getLogger("transformers").addHandler(_Deprecated())


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's runs."""
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def unforked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of the program are started, not forked, since what is tested is how they start."""
    monkeypatch.setattr("subprocess.Popen", forked.STARTED)


@pytest.fixture
def verse(tmp_path: Path) -> Path:
    """A file of about 3,000 characters, 20 of them distinct."""
    path = tmp_path / "verse.txt"
    path.write_text(VERSE, encoding="utf-8")
    return path


@pytest.fixture
def known_peak(monkeypatch: pytest.MonkeyPatch) -> float:
    """Do not measure the machine before each training."""
    monkeypatch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
    return 1e9


@pytest.fixture
def older_runs() -> None:
    """One run of each task, as an earlier version wrote them, among the runs."""
    home.runs().mkdir(parents=True)
    with tarfile.open(Path(__file__).parent / "engine" / "runs" / "older.tar.gz") as tar:
        tar.extractall(home.runs(), filter="data")


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that processes are started for; there is this one instead."""
    found: list[str] = []

    def spawn(run: Run) -> SimpleNamespace:
        found.append(run.name)
        return SimpleNamespace(pid=os.getpid(), poll=lambda: None)

    monkeypatch.setattr(owner, "spawn", spawn)
    return found
