"""A home of its own for every test of the screen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from stage import FakeTrainers
from textual import _wait

from engine.runs import owner

# After each key a pilot waits for a span in which the process does next to nothing. Of Textual's spans of 20 ms it
# waits for three, which was most of the time of a test; work on another thread a test must wait for by itself anyway.
_wait.SLEEP_GRANULARITY = 0.005


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs, cache and log of this test, and surroundings that do not change what is drawn."""
    path = tmp_path / "home"
    monkeypatch.setenv("LLMLAB_HOME", str(path))
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("NO_COLOR", "SSH_CONNECTION", "COLUMNS", "LINES", "TEXTUAL_COLOR_SYSTEM", "TEXTUAL_FPS"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture(autouse=True)
def _nothing_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program keeps its widgets to its end; here one ends with each test, and what it froze would never be freed."""
    monkeypatch.setattr("tui.app.gc", SimpleNamespace(collect=int, freeze=int, set_threshold=lambda *_: None))


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> FakeTrainers:
    """No process is started by this test."""
    fake = FakeTrainers()
    monkeypatch.setattr(owner, "spawn", fake.spawn)
    monkeypatch.setattr(owner, "attend", fake.attend)
    return fake
