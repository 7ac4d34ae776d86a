"""No work on the event loop: what its thread reads, hashes, tokenizes and sorts is counted, key by key."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import importlib
import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage import FakeTrainers, recorded, shows, until
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen

from engine.tokenization.encoding import BackedTokenizer
from tui import switcher
from tui.actions import ACTIONS
from tui.app import LabApp
from tui.panes import PANES

LARGEST_FILE = 64 << 10  # bytes
MOST_SORTED = 2_000
CODE = (".py", ".pyc", ".so", ".tcss")
DANGEROUS = {"q", "ctrl+q", "ctrl+c"}
REACH_PANES = {"start", "pause", "stop", "sample", "help"}
"""actions of everywhere that each pane carries out in its own way"""
EVERYWHERE = ("everywhere", PANES[-1])
"""the other ones are tried in the last pane, when all panes are there"""


class Watch:
    """Records work of its own thread; ``found`` has ``(what was done, how much, while, who called)``."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.doing = ""
        self.found: list[tuple[str, object, str, str]] = []
        self.on = True

    def note(self, what: str, how_much: object) -> None:
        if self.on and threading.current_thread() is self.thread:
            calls = [call.name for call in traceback.extract_stack()[:-2]][-8:]
            self.found.append((what, how_much, self.doing, " > ".join(calls)))

    def opened(self, event: str, given: tuple[Any, ...]) -> None:
        """An audit hook; these cannot be removed."""
        if not self.on or event not in ("open", "subprocess.Popen", "socket.connect"):
            return
        if event != "open":
            self.note(event, given[:1])
        elif isinstance(given[0], str | bytes) and not os.fsdecode(given[0]).endswith(CODE):
            with contextlib.suppress(OSError):
                if (size := os.stat(given[0]).st_size) > LARGEST_FILE:
                    self.note("file", (given[0], size))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watches this thread, in which the event loop of a test runs."""
    seen = Watch()
    sys.addaudithook(seen.opened)

    def hashing(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(data: bytes = b"", **options: Any) -> Any:
            if len(data) > LARGEST_FILE:
                seen.note("hash", len(data))
            return make(data, **options)

        return made

    monkeypatch.setattr(hashlib, "sha256", hashing(hashlib.sha256))
    digest, order, encode = hashlib.file_digest, sorted, BackedTokenizer.encode

    def file_digest(*given: Any, **options: Any) -> Any:
        seen.note("hash", "a file")
        return digest(*given, **options)

    def counted(values: Any, **options: Any) -> list[Any]:
        values = list(values)
        if len(values) > MOST_SORTED:
            seen.note("sort", len(values))
        return order(values, **options)

    def encoded(self: BackedTokenizer, *given: Any, **options: Any) -> Any:
        seen.note("tokenizer", self.name)
        return encode(self, *given, **options)

    run_worker = DOMNode.run_worker

    def described(self: DOMNode, *given: Any, **options: Any) -> Any:
        worker = run_worker(self, *given, **options)
        if len(worker.description) > 1_000:  # Textual spells the arguments out where none is given
            seen.note("description of a worker", len(worker.description))
        return worker

    monkeypatch.setattr(DOMNode, "run_worker", described)
    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    monkeypatch.setattr(builtins, "sorted", counted)
    monkeypatch.setattr(BackedTokenizer, "encode", encoded)

    def asked(*_: object) -> int:
        seen.note("driver", "NVML")
        return 0

    driver = SimpleNamespace(nvmlInit=asked, nvmlDeviceGetCount=asked)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    yield seen
    seen.on = False


async def test_every_pane_and_every_key_leaves_the_work_to_threads(
    watch: Watch, trainers: FakeTrainers, home: Path
) -> None:
    recorded("finished")
    recorded("other")
    (home / "text.txt").write_text("nel mezzo del cammin " * 60_000, "utf-8")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        for pane in PANES:
            watch.doing = f"open {pane.name}"
            pilot.app.action_show_pane(pane.name)
            await until(pilot, lambda pane=pane: pilot.app.here.id == pane.name)
            await pilot.pause(0.3)
            for action in ACTIONS:
                if action.where == pane.name or action.name in REACH_PANES or (action.where, pane) == EVERYWHERE:
                    if DANGEROUS & set(action.keys):
                        continue
                    watch.doing = f"{pane.name}: {action.keys[0]}"
                    await pilot.press(action.keys[0])
                    await pilot.pause()
                    for _ in range(len(pilot.app.screen_stack) - 1):
                        await pilot.press("escape")
                    if pilot.app.here.id != pane.name:
                        pilot.app.action_show_pane(pane.name)
    assert not watch.found, "\n".join(map(str, watch.found))


async def test_a_pane_is_imported_in_a_thread(trainers: FakeTrainers, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: dict[str, bool] = {}

    def import_module(name: str) -> object:
        imported[name] = threading.current_thread() is threading.main_thread()
        return importlib.import_module(name)

    monkeypatch.setattr(switcher, "import_module", import_module)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        for pane in PANES:
            pilot.app.action_show_pane(pane.name)
            await until(pilot, lambda pane=pane: pilot.app.here.id == pane.name)
    assert imported == {f"tui.{pane.name}.pane": False for pane in PANES[1:]}


async def test_a_resize_lays_out_a_few_times_and_then_rests(
    trainers: FakeTrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    layout, apply = Screen._refresh_layout, Stylesheet.apply

    def laid_out(self: Screen[Any], *given: Any, **options: Any) -> Any:
        done["layouts"] += 1
        return layout(self, *given, **options)

    def applied(self: Stylesheet, *given: Any, **options: Any) -> Any:
        done["styles"] += 1
        return apply(self, *given, **options)

    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        for pane in PANES:
            pilot.app.action_show_pane(pane.name)
            await until(pilot, lambda pane=pane: pilot.app.here.id == pane.name)
        await pilot.pause(0.2)
        monkeypatch.setattr(Screen, "_refresh_layout", laid_out)
        monkeypatch.setattr(Stylesheet, "apply", applied)
        nodes = len(pilot.app.query("*"))
        for size, restyled in (((121, 41), 0), ((300, 90), 0), ((79, 24), 3), ((60, 20), 3), ((200, 50), 3)):
            done.clear()
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
            assert done["layouts"] <= 12, (size, done)
            assert done["styles"] <= restyled * nodes + 60, (size, done)
        done.clear()
        for wide in range(60, 300, 4):  # as a window is dragged: sizes that nobody waits for are passed over
            size = Size(wide, 20 + wide // 5)
            pilot.app.post_message(Resize(size, size))
        await pilot.pause(0.2)
        assert done["layouts"] <= 24
        assert done["styles"] <= 6 * nodes
        done.clear()
        await pilot.pause(0.3)
        assert done["layouts"] <= 2
