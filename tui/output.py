"""The only way to stdout and stderr: nothing that a terminal could act on gets through, wherever a text comes from."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any, TextIO

from tui.text import escaped, safe

_LETTERS = "\t\u200c\u200d"
"""kept in a model's text that goes to a file or a program: tabs, and the joiners that some scripts spell with"""


def say(line: str) -> None:
    """Print one line of data on stdout."""
    _write(line + "\n", sys.stdout)


def print_json(record: Any) -> None:
    """Print a record as one line of JSON on stdout, its unsafe characters as ``\\uXXXX``."""
    say(escaped(json.dumps(record, ensure_ascii=False)))


def print_text(text: str) -> None:
    """Print a piece of a model's text on stdout."""
    _write(text, sys.stdout, keep="" if on_terminal() else _LETTERS)


def print_message(text: str) -> None:
    """Print a line for people on stderr."""
    _write(text + "\n", sys.stderr)


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and os.isatty(sys.stdout.fileno())


class SafeStream(io.TextIOBase):
    """Stands for ``stream`` where libraries print to it: warnings and logs quote files and names."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            _write(text, self._stream)
        return len(text)


def _write(text: str, stream: TextIO | None, *, keep: str = "") -> None:
    """Write now. Raises :class:`BrokenPipeError` when the reader has gone."""
    if stream is None:  # closed before the program began
        return
    content = safe(text, keep=keep).encode("utf-8", "replace")
    try:
        while content:
            content = content[os.write(stream.fileno(), content) :]
    except BrokenPipeError:
        raise
    except OSError:
        pass  # the terminal is gone; the run goes on
