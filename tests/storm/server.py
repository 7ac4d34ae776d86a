"""A process that has everything imported and forks the processes of runs, since importing takes seconds each time.

Run as a program it reads a JSON line for each process to start and answers with two: its id, then its exit status. The
processes are real ones, in sessions of their own, to be killed like any other.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

PROJECT = Path(__file__).parent.parent.parent
BACK_OFF = (0.05, 0.1, 0.2)  # seconds between tries to write: the program's own would make each cycle take minutes
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MODULES = "STORM_MODULES"  # in a request: where to write which modules are loaded at the end


class Server:
    """The client's side: starts the server and has it start processes, one at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl+C is for the storm, which ends it
            cwd=PROJECT,
            env={**os.environ, **environment},
        )

    def start(self, arguments: Sequence[str], home: Path, log: Path, modules: Path | None = None) -> Process:
        """Start the command line with ``arguments``; stdout and stderr are appended to ``log``."""
        self.request({"arguments": list(arguments), "home": str(home), "log": str(log), "modules": str(modules or "")})
        return Process(self, json.loads(self.answer())["pid"])

    def load(self, modules: Sequence[str]) -> None:
        """Import these, so that no process has to."""
        self.request({"import": list(modules)})
        self.answer()

    def request(self, content: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fork server is gone")
        return line

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Process:
    """A process that the server has forked."""

    def __init__(self, server: Server, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        """exit code, or minus the signal that ended it"""
        self._reader = threading.Thread(target=self._read, args=(server,), daemon=True)
        self._reader.start()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        self._reader.join(seconds)
        return not self._reader.is_alive()

    def signal(self, number: int) -> bool:
        """Send a signal; False when it had ended before. The server reaps it only when it answers, so no other gets it.

        A race of microseconds remains, in which the id belongs to nobody.
        """
        if not self._reader.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _read(self, server: Server) -> None:
        self.status = json.loads(server.answer())["status"]


def stray(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def processor_seconds(pid: int) -> float:
    """Time that a process has spent on processors; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve() -> None:
    """Answer requests until stdin ends."""
    import engine.machine

    engine.machine.physical_cores = lambda: 1  # before anything takes a copy: tiny products only wait for each other
    import engine.gpt.saving
    import engine.runs.writes
    import tui.command.cli

    for module in (engine.gpt.saving, engine.runs.writes):
        assert hasattr(module, "BACK_OFF")
        module.BACK_OFF = BACK_OFF
    import engine.choose.runs
    import engine.classify.runs
    import engine.gpt.train
    import engine.retrieve.runs

    while line := sys.stdin.readline():
        request = json.loads(line)
        if "import" in request:
            for name in request["import"]:
                try:
                    importlib.import_module(name)
                except Exception:  # what only its package can import
                    continue
            say({})
            continue
        gc.freeze()  # so that collecting in the child does not copy what it shares
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child has a log to report to
        pid = os.fork()
        if pid == 0:
            child(request, tui.command.cli.main)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"status": os.waitstatus_to_exitcode(status)})


def child(request: Mapping[str, Any], command: Callable[[list[str]], int]) -> NoReturn:
    """Be what a launched owner of a run is, a session of its own without a terminal, and do its work.

    It ends as an interpreter does, threads and exit functions first, but leaves memory to the kernel: tearing down all
    that the server has imported would copy it page by page and take longer than the work.
    """
    os.setsid()
    os.chdir("/")
    os.environ["LLMLAB_HOME"] = request["home"]
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    faulthandler.enable()  # a process that hangs is ended by SIGABRT and then says where it was
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = command(request["arguments"])
    except (SystemExit, KeyboardInterrupt) as end:  # an interrupt before the program's own handlers are set
        code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 130
    except BaseException:
        traceback.print_exc()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if request["modules"]:
        Path(request["modules"]).write_text(json.dumps(sorted(sys.modules)))
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def say(content: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path[:0] = [str(PROJECT)]
    sys.path.remove(str(Path(__file__).parent))
    serve()
