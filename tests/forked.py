"""Processes of the program that are forked from one that has the libraries loaded: importing them takes seconds.

They are real processes, with an id, a session, signals, pipes and an exit code of their own. ``Popen`` is that of
:mod:`subprocess` but for where the process comes from; what cannot be forked is started as ever. Run as a program this
is the server that forks: one for all workers of a test session, which ends with the session.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

PROJECT = Path(__file__).parent.parent
STARTED = subprocess.Popen
MODULES = ("llmlab_tui", "engine.lm.gguf_file", "torch.distributed.run")
LOADED = (
    *("engine.gpt.train", "engine.gpt.runs", "engine.classify.runs", "engine.choose.runs", "engine.retrieve.runs"),
    *("llmlab_tui", "tui.command.cli", "engine.lm.find", "gguf", "bm25s", "scipy.stats", "safetensors.numpy"),
    *("sklearn.linear_model", "sklearn.feature_extraction.text", "tokenizers", "torch._dynamo", "transformers"),
    *(f"transformers.models.{kind}.modeling_{kind}" for kind in ("bert", "gpt2", "llama")),
)
SESSION = "LLMLAB_TEST_SESSION"
"""The variable with the id of the process that began the session."""
READ_EARLY = (SESSION, "HF_", "GOMP_", "MKL_", "OPENBLAS_", "CUDA_", "LD_", "LANG", "LC_", "PYTHON")
"""Beginnings of variables that the interpreter and the libraries read as they are loaded."""
OURS = {"PYTHONSAFEPATH", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_TELEMETRY"}
"""Of these the program sets some by itself."""
_first: dict[str, str] = {}
"""The variables with which the server is started."""
_ROOM = 1 << 20  # bytes of a request at most


def begin() -> None:
    """Fork processes of the program from now on, in this session, where their variables are what they are now."""
    os.environ.setdefault(SESSION, str(os.getpid()))  # workers of xdist inherit that of who started them
    _first.update(os.environ)
    subprocess.Popen = Popen  # type: ignore[misc]


class Popen(subprocess.Popen[Any]):
    """A process of the program that is forked, or any other that is started."""

    code = False
    """whether code that is given with ``-c`` is run in a forked process too"""
    _answers: socket.socket | None = None

    def _execute_child(self, args: Any, *rest: Any) -> None:
        _, preexec, _, passed, cwd, given, _, _, shell, *streams, _, _, _, _, _, session, group = rest
        env = dict(os.environ if given is None else given)
        folder = Path(cwd or os.getcwd())
        forks = folder in (PROJECT, Path("/")) and _alike(env) and self._known(args)
        if not forks or preexec or passed or shell or group != -1:
            super()._execute_child(args, *rest)
            return
        ends = [streams[index] if streams[index] != -1 else usual for usual, index in enumerate((0, 3, 5))]
        request = {"arguments": [str(one) for one in args[1:]], "cwd": str(folder), "env": env}
        self._answers = _connected()
        socket.send_fds(self._answers, [json.dumps({**request, "session": bool(session)}).encode()], ends)
        self.pid = json.loads(self._answers.recv(_ROOM))
        self._child_created = True
        self._close_pipe_fds(*streams)

    def _known(self, args: Any) -> bool:
        if not isinstance(args, list | tuple) or args[0] != sys.executable:
            return False
        kind, what, _ = program(args[1:])
        return (kind == "-m" and what in MODULES) or (kind == "-c" and self.code)

    def _internal_poll(self, *deadstate: Any, **named: Any) -> int | None:
        if self._answers is None:
            return super()._internal_poll(*deadstate, **named)
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._answers is None:
            return super()._try_wait(flags)
        try:
            answer = self._answers.recv(_ROOM, socket.MSG_DONTWAIT if flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        self._answers.close()
        return self.pid, json.loads(answer)


class Code(Popen):
    """A process whose code is run where the libraries are loaded already."""

    code = True


def program(arguments: Sequence[Any]) -> tuple[str, str, list[str]]:
    """Of the arguments of an interpreter ``-m`` or ``-c``, the module or the code, and its own arguments."""
    given = [str(one) for one in arguments]
    while given[:1] in (["-P"], ["-u"]):
        del given[0]
    return (given[0], given[1], given[2:]) if given[:1] in (["-m"], ["-c"]) and len(given) > 1 else ("", "", [])


def _alike(env: Mapping[str, str]) -> bool:
    """Whether a process with these variables is of this session and would load the libraries as the server has."""
    read = {name for name in {*env, *_first} if name.startswith(READ_EARLY)} - OURS
    return sys.platform == "linux" and all(env.get(name) == _first.get(name) for name in read)


def _connected() -> socket.socket:
    """A connection with the server, which is started where there is none yet."""
    process = None
    while True:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            found.connect(_address())
            return found
        except ConnectionRefusedError:
            found.close()
            if process is None:
                quiet = subprocess.DEVNULL
                process = STARTED(
                    [sys.executable, __file__],
                    stdin=quiet,
                    stdout=quiet,
                    cwd=PROJECT,
                    env=_first,
                    start_new_session=True,
                )
            time.sleep(0.01)


def _address() -> str:
    return f"\0llmlab-tests-{_first[SESSION]}"


def serve() -> None:
    """Fork what is asked for until the session has ended; where there is a server already, end at once."""
    begin()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(_address())
    except OSError:
        return
    listener.listen(64)
    _load()
    watched = selectors.DefaultSelector()
    watched.register(listener, selectors.EVENT_READ)
    watched.register(session := os.pidfd_open(int(_first[SESSION])), selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.fd == session:
                return
            if key.data is None:
                connection, _ = listener.accept()
                if (pid := _fork(connection)) is not None:
                    watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
                continue
            pid, connection = key.data
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError), connection:  # who asked for it may have gone
                connection.send(json.dumps(status).encode())
            watched.unregister(key.fd)
            os.close(key.fd)


def _load() -> None:
    """Import what most commands use, and do not let each training measure the machine."""
    sys.path.insert(0, str(PROJECT))
    for name in LOADED:
        importlib.import_module(name)
    sys.modules["engine.gpt.train"].measure_peak = lambda placement: 1e9  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()  # a collection in a child copies nothing that it shares


def _fork(connection: socket.socket) -> int | None:
    """The id of a new process, sent to who asked for it; None when that one has gone."""
    content, ends, _, _ = socket.recv_fds(connection, _ROOM, 3)
    if not content:
        connection.close()
        return None
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # until the streams of the child are its own
    pid = os.fork()
    if pid == 0:
        _be(json.loads(content), ends)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    for end in ends:
        os.close(end)
    with contextlib.suppress(OSError):
        connection.send(json.dumps(pid).encode())
    return pid


def _be(request: Mapping[str, Any], ends: Sequence[int]) -> NoReturn:
    """Be the process that was asked for.

    It ends as an interpreter does, threads and exit functions first, but leaves memory to the kernel: tearing down
    all that the server has loaded would copy it page by page.
    """
    if request["session"]:
        os.setsid()
    ends = [os.dup2(end, number + 64, inheritable=True) for number, end in enumerate(ends)]
    for number, end in enumerate(ends):
        os.dup2(end, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    lines = 1 if "-u" in request["arguments"][:2] or os.isatty(1) else -1
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=lines, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    code = _end(request["arguments"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        print(f"Exception ignored: {error!r}", file=sys.stderr)
        code = 120
    sys.stderr.flush()
    os._exit(code)


def _end(arguments: Sequence[str]) -> int:
    """Run a module or code as the main program; returns its exit code."""
    kind, what, own = program(arguments)
    sys.argv = [what if kind == "-m" else kind, *own]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
