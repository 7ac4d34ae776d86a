"""Text that comes on stdin."""

from __future__ import annotations

import sys

from engine.runs.spec import BadSpec, Problem
from tui.output import print_message

_NOTHING = Problem("", "no text: give it as an argument or through a pipe")


def read() -> str:
    """All of stdin; what is not UTF-8 is read as U+FFFD, and that is said. Raises :class:`engine.runs.spec.BadSpec`."""
    if sys.stdin.isatty():
        raise BadSpec([_NOTHING])
    content = sys.stdin.buffer.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        print_message(f"stdin is not valid UTF-8 (byte {error.start:,}): invalid bytes are read as U+FFFD")
        return content.decode("utf-8", "replace")


def given(text: str | None) -> str:
    """The text of an argument, or of stdin without one. Raises :class:`engine.runs.spec.BadSpec`."""
    return read() if text is None or text == "-" else text


def lines() -> list[str]:
    """Every line of stdin that is not blank. Raises :class:`engine.runs.spec.BadSpec` when there is none."""
    found = [line for line in read().split("\n") if line.strip()]
    if not found:
        raise BadSpec([_NOTHING])
    return found
