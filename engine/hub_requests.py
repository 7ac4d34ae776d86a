"""What the libraries of Hugging Face ask the Hub: whether it answers at all, how far they are, how they are stopped."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from data.hub import library_cache
from engine.runs import background
from engine.runs.events import Event, Progress

T = TypeVar("T")

TIMEOUT = 1.5  # seconds that the Hub has to answer; the library itself would try for half a minute
SILENCE = 15.0  # seconds without a byte after which a download is given up
STALE = 60.0  # seconds without a byte after which a partial file counts as abandoned
ENDING = 0.5  # seconds for which a download that was stopped is waited for, that it removes what it has written
REMEMBERED = 60.0  # seconds for which an answer, or its absence, is believed
UNANSWERED = "the Hub does not answer"
PORTAL = "a web page answers instead of the Hub: log in to this network, or check its proxy"
_LOG_IN = "set HF_TOKEN or run hf auth login"
_LIMITS = ("connect", "read", "write", "pool")
_answers: dict[str, tuple[float, bool]] = {}
_asking: dict[int, _Exchange] = {}
"""by the thread that asks"""


class NotOnHub(Exception):
    """A file can be had neither from the cache nor from the Hub; the message is a clause that says why."""


class Offline(NotOnHub):
    """The Hub does not answer, or the user forbade to ask."""


def unreachable() -> str:
    """Why the Hub cannot be asked; nothing when it can."""
    if forbidden():
        return "Hub lookups are off (HF_HUB_OFFLINE is set)"
    return "" if answers() else UNANSWERED


def cache() -> Path:
    """The folder of the Hugging Face cache."""
    return library_cache("HF_HUB_CACHE", "hub")


def forbidden() -> bool:
    """Whether the user's settings keep Hugging Face libraries off the network."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def answers() -> bool:
    """Whether the Hub answers within ``TIMEOUT``. Any answer counts; it is remembered for a minute."""
    address = _address()
    known = _answers.get(address)
    if known is None or time.monotonic() - known[0] > REMEMBERED:
        answer: list[bool] = []
        # Looking up a host's name has no time limit, so it is done in a thread that need not be waited for.
        thread = threading.Thread(target=lambda: answer.append(_ask(address)), daemon=True, name="hub")
        thread.start()
        thread.join(TIMEOUT)
        known = _answers[address] = (time.monotonic(), bool(answer) and answer[0])
    return known[1]


def run(what: str, work: Callable[[], T], obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, T]:
    """What ``work`` returns, which asks the Hub by the libraries of Hugging Face; it has a thread of its own.

    Yields the bytes that have arrived, with a total where the Hub states it, as progress of ``what``. ``obey`` is
    called several times a second; when it raises, the connections are shut and ``work`` may ask nothing more. Raises
    what ``work`` raises, or the :class:`NotOnHub` that says why the Hub refused; :class:`Offline` when it answers
    nothing for ``TIMEOUT`` twice over, or sends nothing for ``SILENCE`` seconds.
    """
    _listen()
    _sweep()
    exchange, ended = _Exchange(), threading.Event()
    seen, began, heard = (0, 0), 0.0, 0.0

    def attempt() -> T:
        _asking[threading.get_ident()] = exchange
        try:
            return work()
        except Exception:
            if exchange.refusal is not None:
                raise exchange.refusal from None
            raise
        finally:
            del _asking[threading.get_ident()]
            ended.set()

    def look() -> Iterator[Event]:
        nonlocal seen, began, heard
        now, arrived = time.monotonic(), exchange.arrived()
        if arrived != seen or not exchange.waits():
            heard = now
        if arrived != seen:
            seen, began = arrived, began or now - background.LOOK
            yield Progress(what, *arrived, bytes_per_second=arrived[0] / (now - began))
        yield from obey()
        if now - heard > (SILENCE if exchange.answered else TIMEOUT * 2):
            _answers[_address()] = (now, False)
            raise Offline("the Hub stopped sending" if exchange.answered else UNANSWERED)

    yield Progress(what, 0, 0)
    heard = time.monotonic()
    try:
        return (yield from background.in_background(attempt, look))
    finally:
        exchange.end()
        ended.wait(ENDING)


class _Exchange:
    """What one task asks the Hub, and what it is answered."""

    def __init__(self) -> None:
        self.answered = False
        self.refusal: NotOnHub | None = None
        self._unanswered = False
        self._over = False
        self._bodies: dict[str, Any] = {}
        """the latest answer with a file in it, by its address"""

    def check(self) -> None:
        """Raise :class:`Offline` once :meth:`end` was called."""
        if self._over:
            raise Offline("the download was stopped")

    def ask(self, request: Any) -> None:
        """Before each request: none may wait without an end."""
        self.check()
        self._unanswered = True
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {kind: limits.get(kind) or SILENCE for kind in _LIMITS}

    def answer(self, response: Any) -> None:
        """After the head of each answer. Raises for those that the libraries would repeat the request after."""
        self.answered, self._unanswered = True, False
        asked = response.request
        if asked.method == "GET" and response.status_code in (200, 206) and not asked.url.path.startswith("/api/"):
            self._bodies[str(asked.url)] = response
        self.check()  # after the answer is known, so that a stop at this moment is not missed
        self.refusal = _refusal(response)
        if self.refusal is not None and response.status_code not in (401, 403, 404):
            raise self.refusal

    def arrived(self) -> tuple[int, int]:
        """Bytes that are there, and in all as far as is known; 0 where it is not."""
        done = total = 0
        for response in list(self._bodies.values()):
            start, _, length = response.headers.get("Content-Range", "bytes 0-").removeprefix("bytes ").partition("-")
            length = length.rpartition("/")[2] or response.headers.get("Content-Length", "")
            done += int(start or 0) + response.num_bytes_downloaded
            total += int(length) if length.isdigit() else 0
        return done, max(total, done) if total else 0

    def waits(self) -> bool:
        """Whether an answer, or more of one, is yet to come."""
        return self._unanswered or any(not response.is_closed for response in list(self._bodies.values()))

    def end(self) -> None:
        """Ask nothing more, and wake the thread that reads an answer."""
        self._over = True
        for response in list(self._bodies.values()):
            if not response.is_closed:
                with contextlib.suppress(Exception):  # it may be closed meanwhile
                    stream = response.extensions["network_stream"]
                    stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _refusal(response: Any) -> NotOnHub | None:
    """Why the Hub gives nothing; None for an answer, and for a file that a repository does not hold."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    about = f"{status} {response.reason_phrase}".strip()
    if code == "EntryNotFound":
        return None
    if code == "GatedRepo":
        return NotOnHub(f"it is gated: accept its terms on its page on the Hub, then {_LOG_IN}")
    if code == "RevisionNotFound":
        named = re.search(r"/(?:resolve|revision|tree)/(refs/[^/]+/[^/]+|[^/]+)", unquote(response.request.url.path))
        return NotOnHub(f"its repository on the Hub has no revision {named[1] if named else ''}".rstrip())
    if code == "RepoNotFound":
        return NotOnHub(f"the Hub has no public repository of this name (for a private one, {_LOG_IN})")
    if status in (401, 403):
        return NotOnHub(f"the Hub denies access ({about}): {_LOG_IN}, with a token that may read it")
    if status == 429:
        later = response.headers.get("Retry-After", "")
        when = f"in {later} s" if later.isdigit() else "later"
        return NotOnHub(f"the Hub limits requests ({about}): retry {when}; for a higher limit, {_LOG_IN}")
    if status >= 500:
        return NotOnHub(f"the Hub failed ({about}): try again later")
    if status >= 400:
        return NotOnHub(f"the Hub answered {about}")
    ours = response.request.url.netloc.decode() == urlsplit(_address()).netloc
    page = response.headers.get("Content-Type", "").startswith("text/html")
    if status == 200 and ours and page and "X-Repo-Commit" not in response.headers:
        return NotOnHub(PORTAL)
    return None


@functools.cache
def _listen() -> None:
    """Let every request of the libraries in this process be known to the task that makes it."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http
    from huggingface_hub.utils import logging as narration
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging: Any = narration

    def client() -> Any:
        made: Any = _http.default_client_factory()
        hooks, httpx = made.event_hooks, importlib.import_module(type(made).__module__.partition(".")[0])

        class Steady(httpx.SyncByteStream):  # type: ignore[misc, name-defined]
            """An answer's bytes. A reset in their midst is raised as a timeout, after which the library continues."""

            def __init__(self, stream: Any, exchange: _Exchange) -> None:
                self._stream, self._exchange, self.close = stream, exchange, stream.close

            def __iter__(self) -> Iterator[bytes]:
                try:
                    yield from self._stream
                except httpx.TransportError as error:
                    self._exchange.check()
                    raise httpx.ReadTimeout(str(error)) from error

        def request(asked: Any) -> None:
            if (exchange := _current()) is not None:
                exchange.ask(asked)

        def response(answer: Any) -> None:
            if (exchange := _current()) is not None:
                exchange.answer(answer)
                answer.stream = Steady(answer.stream, exchange)

        made.event_hooks = {
            "request": [*hooks["request"], request],
            "response": [*hooks["response"], response],
        }
        return made

    constants.HF_HUB_DISABLE_XET = True  # its own connections could be neither counted nor stopped
    set_client_factory(client)
    disable_progress_bars()
    logging.set_verbosity_error()


def _current() -> _Exchange | None:
    """The exchange of this thread; of a thread that a library started, the latest."""
    known = list(_asking.items())
    return dict(known).get(threading.get_ident()) or (known[-1][1] if known else None)


def _ask(address: str) -> bool:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "llmlab-tui"})
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return True  # it refuses, so it is there
    except (OSError, ValueError):
        return False
    return True


def _sweep() -> None:
    """Remove partial files of downloads that were killed, which the library does not continue.

    Their lock is free and nothing was written for ``STALE`` seconds: some network file systems grant every lock.
    """
    for part in cache().glob("*/blobs/*.*.incomplete"):
        lock = cache() / ".locks" / part.parent.parent.name / f"{part.name.partition('.')[0]}.lock"
        with contextlib.suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with lock.open("a") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - part.stat().st_mtime > STALE:
                    part.unlink()


def _address() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
