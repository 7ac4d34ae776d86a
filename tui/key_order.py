"""One key at a time: keys and pastes take effect in the order in which they were typed."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from textual import events
from textual.app import App, ReturnType
from textual.message import Message

KEY_TIMEOUT = 1.0  # seconds that a key waits for the one before it


class Passed(Message, bubble=True):
    """Takes the same way as a key, right behind it, and so reaches the app when the key has been handled."""


class OrderedKeys(App[ReturnType]):
    """Hands a key on when the one before has been handled.

    In Textual a letter is handled by the focused widget and a key that is bound by the app, each from a queue of its
    own, so of keys that arrive together the letters overtake the others: ``x``, Backspace, ``y`` would leave ``x``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._arrived: deque[events.InputEvent | events.Paste] = deque()
        self._handed_on = 0.0
        """when the key under way was handed on; 0 when there is none"""

    async def on_event(self, event: events.Event) -> None:
        """Let keys, pastes and the mouse wait for the key under way."""
        if isinstance(event, events.InputEvent | events.Paste) and not event.is_forwarded:
            self._arrived.append(event)
            await self._hand_on()
        else:
            await super().on_event(event)

    async def _hand_on(self) -> None:
        while self._arrived:
            waited = time.monotonic() - self._handed_on
            if waited < KEY_TIMEOUT:
                # Its widget may have been removed with the key in its queue, or may be waiting for something.
                if len(self._arrived) == 1:
                    self.set_timer(KEY_TIMEOUT - waited, self._hand_on)
                return
            event, target = self._arrived.popleft(), self.focused or self.screen
            key = isinstance(event, events.Key | events.Paste)
            self._handed_on = time.monotonic() if key else 0.0
            await super().on_event(event)
            if key and not (target if event.is_forwarded else self).post_message(Passed()):
                self._handed_on = 0.0

    def on_passed(self) -> None:
        """The key has been handled. What it asked the app to do later, such as to move the focus, comes first."""
        self.call_later(self._handled)

    async def _handled(self) -> None:
        self._handed_on = 0.0
        await self._hand_on()
