"""Textual's terminal driver, which here stops and continues without loss and takes input that is not UTF-8."""

from __future__ import annotations

import codecs
import os
import select
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.events import AppBlur, AppFocus, Key
from textual.message import Message

if TYPE_CHECKING:
    from tui.terminal_app import TerminalApp

# One byte that is not UTF-8, from a Latin-1 terminal or out of a torn paste, would end the program.
linux_driver.getincrementaldecoder = lambda _: lambda: codecs.getincrementaldecoder("utf-8")("replace")  # type: ignore

for _character in "0123456789-=§":  # typed with Option in one terminal of macOS
    cast("dict[str, object]", ANSI_SEQUENCES_KEYS).pop(f"\x1b{_character}", None)


class _Parser(XTermParser):
    """Takes Escape and a character that arrive together as two keys: a slow link or tmux delivers them so."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        if alt:
            yield Key("escape", "\x1b")
        yield from super()._sequence_to_key_events(sequence)


linux_driver.XTermParser = _Parser  # type: ignore[attr-defined]


class TerminalDriver(linux_driver.LinuxDriver):
    """Handles signals between two tasks of the event loop, from before the first byte is written.

    Textual's handlers of SIGTSTP and SIGCONT interrupt it anywhere, start a second reader when the process was
    stopped with SIGSTOP, and leave the screen blank. SIGTERM ends the program; SIGHUP does at once, since the terminal
    is gone.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._listen(signal.SIGTSTP, self._stop)
        self._listen(signal.SIGCONT, self._continue)
        self._listen(signal.SIGTERM, self._app.exit, 0)
        self._listen(signal.SIGHUP, os._exit, 129)

    def _listen(self, number: signal.Signals, callback: Callable[..., object], *arguments: Any) -> None:
        """Call back between two tasks; once the loop is closed, do what a program without handlers does.

        The loop's own ``add_signal_handler`` loses signals: it learns of them through the socket that also wakes it
        up, and some 300 keys read at once fill that.
        """

        def handle(*_: Any) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)
            else:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

        signal.signal(number, handle)

    def process_message(self, message: Message) -> None:
        """Hand on what came from the terminal, but not its focus: Textual would take the focus out of the widget that
        has it and back, and draw the screen anew each time.
        """
        if not isinstance(message, AppBlur | AppFocus):
            super().process_message(message)

    @property
    def _drawing(self) -> bool:
        return self._writer_thread is not None and self._writer_thread.is_alive()

    def write(self, data: str) -> None:
        """Write to the terminal; nothing while another program has it."""
        if self._drawing:
            super().write(data)

    def _stop(self) -> None:
        """Give the terminal back as it was found, then stop."""
        if self._drawing:
            self.suspend_application_mode()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _continue(self) -> None:
        """Take the terminal again, whose modes and contents others have changed, and draw everything."""
        if not self._app.is_running:  # the terminal has been given back for good
            return
        if self._drawing:
            self.suspend_application_mode()
        self.resume_application_mode()
        cast("TerminalApp", self._app).action_repaint()


def leave_if_hung_up() -> None:
    """End the program at once when the terminal is gone, also where no signal tells it; a run has its own process."""
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    if any(state & select.POLLHUP for _, state in poll.poll(0)):
        os._exit(129)
