"""A home of its own for every test of the screen."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage import FakeTrainers
from textual import _wait
from textual.css import stylesheet
from textual.css.model import RuleSet
from textual.message_pump import MessagePump
from textual.pilot import Pilot, WaitForScreenTimeout

from engine.runs import owner

# After each key a pilot waits for a span in which the process does next to nothing. Of Textual's spans of 20 ms it
# waits for three, which was most of the time of a test; work on another thread a test must wait for by itself anyway.
_wait.SLEEP_GRANULARITY = 0.005
ROUNDS = 8  # of messages that widgets send each other, at most, before a pilot goes on

# A program parses its stylesheets once; here hundreds of programs would. What is parsed is only read afterwards.
_parse, _tokenize = stylesheet.parse, stylesheet.tokenize_values
_tokens_of = cache(lambda variables: _tokenize(dict(variables)))
_parsed: dict[tuple[Any, ...], list[Any]] = {}
RuleSet.__hash__ = object.__hash__  # type: ignore[method-assign]  # by identity as before, without a call in Python


def _parse_once(*what: Any, variable_tokens: dict[str, Any], **options: Any) -> list[Any]:
    """As ``textual.css.parse.parse``."""
    key = (*what, id(variable_tokens), *options.items())  # the tokens are kept, so that no others get their id
    if key not in _parsed:
        _parsed[key] = list(_parse(*what, variable_tokens=variable_tokens, **options))
    return _parsed[key]


stylesheet.parse = _parse_once
stylesheet.tokenize_values = lambda values: _tokens_of(frozenset(values.items()))


def _has_messages(pump: MessagePump) -> bool:
    """Whether messages wait for a widget, or it is about one."""
    queue: Any = pump._message_queue
    return not queue.empty() or not queue.ready_event._waiters


async def _wait_for_screen(self: Pilot[Any], timeout: float = 30.0) -> bool:
    """As Textual's, but widgets that have no messages are not sent one: that was half of the time of a test.

    What they send each other meanwhile is waited for as well, through a few rounds.
    """
    failed = asyncio.ensure_future(self.app._exception_event.wait())
    try:
        for _ in range(ROUNDS):
            try:
                pumps = [self.app, *self.app.screen.walk_children(with_self=True)]
            except Exception:
                return False
            asked = [pump for pump in pumps if _has_messages(pump)] or pumps[:2]
            events = [(pump, asyncio.Event()) for pump in asked]
            reached = asyncio.gather(*(event.wait() for pump, event in events if pump.call_later(event.set)))
            await asyncio.wait((reached, failed), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not reached.done():
                reached.cancel()
                if failed.done():
                    return False
                raise WaitForScreenTimeout("Timed out while waiting for widgets to process pending messages.")
            if asked == pumps[:2]:
                break
    finally:
        failed.cancel()
    return True


async def _pause(self: Pilot[Any], delay: float | None = None) -> None:
    """As Textual's, but what its last act changes, which is to lay the screen out, has reached the widgets too."""
    await _textual_pause(self, delay)
    await self._wait_for_screen()


_textual_pause = Pilot.pause
Pilot._wait_for_screen = _wait_for_screen  # type: ignore[method-assign]
Pilot.pause = _pause  # type: ignore[method-assign]


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
