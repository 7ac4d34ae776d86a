"""What is printed of progress: not every event, and bytes with their speed."""

from __future__ import annotations

import pytest

from engine.runs.events import Encoded, Notice, Progress
from tui import units
from tui.command.narrate import Narrator
from tui.widgets.styled import progress_text


@pytest.mark.parametrize("total", [0, 940])
def test_equal_lines_are_not_repeated(total: int, capfd: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(as_json=False)
    for what in ("downloading config.json", "downloading weights"):
        for done in range(0, 940, 10):
            narrator.tell(Progress(what, done, total, 100.0))
    said = capfd.readouterr().err.splitlines()
    assert [line.split(" ")[1] for line in said] == ["config.json", "weights"]


def test_work_of_the_lab_tells_how_far_it_is_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("tui.command.narrate.time.monotonic", lambda: now)
    narrator = Narrator(as_json=False, quiet=True, every=10.0)
    for done in range(1, 26):
        now += 1.0
        narrator.tell(Progress(f"part {done}", done, 25))
        narrator.tell(Encoded("texts", done, done, 0, 1.0, 0.0))
        narrator.tell(Notice("not told"))
    assert capfd.readouterr().err.splitlines() == ["part 10 40%", "part 20 80%"]


@pytest.mark.parametrize(
    ("progress", "says"),
    [
        (Progress("x", 0, 0), ""),
        (Progress("x", 3, 12), " 25%"),
        (Progress("x", 1024, 3072, 512.0), " 1.0 KiB of 3.0 KiB, 512 B/s, 4 s left"),
        (Progress("x", 1024, 0, 512.0), " 1.0 KiB, 512 B/s"),
        (Progress("x", 0, 1024, 0.0), " 0 B of 1.0 KiB, 0 B/s"),
    ],
)
def test_how_far_it_is(progress: Progress, says: str) -> None:
    assert units.progress(progress) == says


def test_texts_are_called_cached_where_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    for cached in (0, 9):
        Narrator(as_json=False).tell(Encoded("minilm", cached, 9, cached, 0.0, 0.0))
    assert ["cached" in line for line in capfd.readouterr().err.splitlines()] == [False, True]


def test_in_a_narrow_line_the_figures_stay() -> None:
    progress = Progress("downloading model.safetensors of owner/name", 1024, 3072, 512.0)
    assert progress_text(progress, 60) == "downloading model.sa… 1.0 KiB of 3.0 KiB, 512 B/s, 4 s left…"
    assert progress_text(progress, 100) == f"{progress.what}{units.progress(progress)}…"
