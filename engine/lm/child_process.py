"""A program that works in a process of its own while a task reports how far it is and can be stopped."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from engine.runs.events import Event, Progress

POLL = 0.1  # seconds between two looks


def followed(
    command: Sequence[str],
    progress: Callable[[str], Progress],
    obey: Callable[[], Iterator[Event]],
    env: Mapping[str, str] | None = None,
) -> Generator[Event, None, tuple[int, str]]:
    """Run a command to its end; returns its exit code and everything that it printed.

    ``progress`` makes an event of what it has printed so far. ``obey`` is called every ``POLL`` seconds; when it
    raises, the process is killed. ``env`` is added to this process's variables.
    """
    with tempfile.TemporaryFile() as log:  # not a pipe, which a process may fill or find broken

        def printed() -> str:
            return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode("utf-8", "replace")

        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **(env or {})},
        )
        last = None
        try:
            while True:
                try:
                    code = process.wait(POLL)
                except subprocess.TimeoutExpired:
                    now = progress(printed())
                    if now != last:
                        last = now
                        yield now
                    yield from obey()
                else:
                    return code, printed()
        finally:
            process.kill()
            process.wait()
