"""The only way to stdout and stderr for ``python -m engine.bench``, where the program's own command line is missing."""

from __future__ import annotations

import json
import sys
from typing import Any

from engine.bench.rows import printable


def say(line: str) -> None:
    """Print one line of data on stdout."""
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def print_message(line: str) -> None:
    """Print one line for people on stderr."""
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def print_json(record: Any) -> None:
    """Print a record as one line of JSON on stdout, in ASCII."""
    say(json.dumps(record))
