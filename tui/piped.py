"""Text that comes on stdin."""

from __future__ import annotations

import sys

from engine.spec import BadSpec, Problem


def read() -> str:
    """All of stdin; what is not UTF-8 is read as U+FFFD, and that is said. Raises :class:`engine.spec.BadSpec`."""
    if sys.stdin.isatty():
        raise BadSpec([Problem("", "no text: give it as an argument, or through a pipe")])
    content = sys.stdin.buffer.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        print(f"stdin is not all UTF-8 (byte {error.start:,}): what is not is read as U+FFFD", file=sys.stderr)
        return content.decode("utf-8", "replace")
