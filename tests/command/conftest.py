"""Commands in the process of the tests: what they do and print is that of a process, without its imports."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from workbench import Command, Ran

from tui.command.cli import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run a command in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def ran(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    yield ran
    for number, handler in handlers.items():
        signal.signal(number, handler)
