"""What Classify, Choose and Retrieve send to a terminal while they work, and how soon they answer a key then."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

from checkpoints import home
from tui.bench_terminal import Screen

PANES = {
    "classify": ("4", "Run the routes", "am"),
    "choose": ("5", "Run the methods", "ai"),
    "retrieve": ("6", "Build and judge", "ag"),
}
"""key, what the form says, and two keys that change the view"""
F5 = "\x1b[15~"
LONGEST = 180.0  # seconds that a bundled example may take
REST = 4.0  # seconds for which nothing happens, that idle bytes are counted over


def panes(note: Callable[[str], None]) -> dict[str, Any]:
    """Each pane runs its bundled example twice: bytes are counted in the first run, keys are timed in the second."""
    figures: dict[str, Any] = {}
    for name, (key, ready, views) in PANES.items():
        with Screen() as screen:
            _start(screen, key, ready)
            seconds = _bytes_a_second(screen)
            screen.settle(1.0)
            before = screen.received
            screen.settle(REST)
            idle = (screen.received - before) / REST
        shutil.rmtree(home.cache(), ignore_errors=True)  # so that there is as much to do again
        with Screen() as screen:
            _start(screen, key, ready)
            keys = _keys(screen, views)
        busiest = max(sum(seconds[at : at + 5]) / len(seconds[at : at + 5]) for at in range(len(seconds)))
        figures |= {
            f"{name}_kib_per_s_mean": round(statistics.mean(seconds) / 1024, 2),
            f"{name}_kib_per_s_busiest_5s": round(busiest / 1024, 2),
            f"{name}_seconds": len(seconds),
            f"{name}_idle_bytes_per_s": round(idle, 1),
            f"{name}_key_to_paint_ms_median": round(statistics.median(keys) * 1000, 1),
            f"{name}_key_to_paint_ms_max": round(max(keys) * 1000, 1),
            f"{name}_keys": len(keys),
        }
        note(f"{name}: {figures[f'{name}_kib_per_s_mean']} KiB/s, {len(keys)} keys")
    return figures


def _start(screen: Screen, key: str, ready: str) -> None:
    screen.wait_for("Start training", 30.0)
    screen.press(key)
    screen.wait_for(ready, 30.0)
    screen.settle(1.0)
    screen.press(F5)
    screen.wait_for("starting", 60.0)


def _bytes_a_second(screen: Screen) -> list[int]:
    """Bytes of every second until the run has finished."""
    found: list[int] = []
    until = time.monotonic() + LONGEST
    while "■ finished" not in screen.recent and time.monotonic() < until:
        before = screen.received
        screen.settle(1.0)
        found.append(screen.received - before)
    return found


def _keys(screen: Screen, views: str) -> list[float]:
    """Seconds to the answer of keys that change the view, pressed until the run has finished."""
    found: list[float] = []
    until = time.monotonic() + LONGEST
    while "■ finished" not in screen.recent and time.monotonic() < until:
        found.append(screen.key_to_paint(views[(len(found) + 1) % 2]))
        screen.settle(0.2)
    return found
