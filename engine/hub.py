"""Files of Hugging Face repositories: from the cache, else from the Hub when it answers at once.

A repository is named ``OWNER/NAME`` or, at a revision (branch, tag or commit), ``OWNER/NAME@REVISION``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

from engine.runs.events import Event, Progress

TIMEOUT = 1.5  # seconds that the Hub has to answer; the library itself would try for half a minute
LONGEST = 96  # characters of a repository's name
REMEMBERED = 60.0  # seconds for which an answer, or its absence, is believed
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_answers: dict[str, tuple[float, bool]] = {}


class NotOnHub(Exception):
    """A file can be had neither from the cache nor from the Hub; the message is a clause that says why."""


class NoSuchFile(NotOnHub):
    """The repository is there and holds no file of this name."""


class Offline(NotOnHub):
    """The Hub does not answer, or the user forbade to ask."""


def cached(repository: str, name: str) -> Path | None:
    """The newest cached copy of a file of a repository, without any network."""
    if not has(repository):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        bare, revision = at_revision(repository)
        found = try_to_load_from_cache(bare, name, revision=revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def has(repository: str) -> bool:
    """Whether the cache holds anything of a repository."""
    return len(repository) <= LONGEST and (_place(repository) / "snapshots").is_dir()


def at_revision(repository: str) -> tuple[str, str | None]:
    """Name and revision; None for the newest."""
    bare, _, revision = repository.partition("@")
    return bare, revision or None


def _place(repository: str) -> Path:
    return cache() / f"models--{at_revision(repository)[0].replace('/', '--')}"


def cache() -> Path:
    """The folder of the Hugging Face cache, as its library finds it, without importing it."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def forbidden() -> bool:
    """Whether the user's settings keep Hugging Face libraries off the network."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def answers() -> bool:
    """Whether the Hub answers within ``TIMEOUT``. Any answer counts; it is remembered for a minute."""
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    known = _answers.get(address)
    if known is None or time.monotonic() - known[0] > REMEMBERED:
        answer: list[bool] = []
        # Looking up a host's name knows no time limit, so a thread does it that nobody has to wait for.
        thread = threading.Thread(target=lambda: answer.append(_ask(address)), daemon=True, name="hub")
        thread.start()
        thread.join(TIMEOUT)
        known = _answers[address] = (time.monotonic(), bool(answer) and answer[0])
    return known[1]


def fetch(repository: str, name: str) -> Path:
    """A file of a repository, from the cache or downloaded into it. Raises :class:`NotOnHub`."""
    bare, revision = at_revision(repository)
    if len(repository) > LONGEST or not _NAME.fullmatch(bare):
        raise NotOnHub("this cannot be the name of a repository on the Hub")
    if (found := cached(repository, name)) is not None:
        return found
    if reason := unreachable():
        raise Offline(reason)
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(bare, name, revision=revision, etag_timeout=TIMEOUT * 2))
    except errors.HFValidationError:
        raise NotOnHub("this cannot be the name of a repository on the Hub") from None
    except errors.GatedRepoError:
        raise NotOnHub("the Hub gives it only to those who accepted its terms") from None
    except errors.RevisionNotFoundError:
        raise NotOnHub(f"its repository on the Hub has no revision {revision}") from None
    except errors.RepositoryNotFoundError:
        raise NotOnHub("the Hub has no public repository of this name") from None
    except errors.LocalEntryNotFoundError:
        raise Offline("the Hub does not answer") from None
    except errors.EntryNotFoundError:
        raise NoSuchFile(f"its repository on the Hub holds no {name}") from None
    except (errors.HfHubHTTPError, OSError) as error:
        raise NotOnHub(f"the Hub failed ({first_line(error)})") from None


def unreachable() -> str:
    """Why the Hub cannot be asked; nothing when it can."""
    if forbidden():
        return "Hub lookups are off (HF_HUB_OFFLINE is set)"
    return "" if answers() else "the Hub does not answer"


def first_line(error: Exception) -> str:
    """The first line of what an error of somebody else's code says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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


WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def model_folder(repository: str, obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, tuple[Path, str]]:
    """The folder with ``config.json`` and every safetensors file of a repository, and where they came from.

    ``obey`` is called while a download runs; what it raises ends the task. Raises :class:`NotOnHub`.
    """
    known = cached(repository, "config.json") is not None
    config = fetch(repository, "config.json")
    try:
        yield from _file(repository, WEIGHTS, obey)
    except NoSuchFile:
        try:
            index = yield from _file(repository, INDEX, obey)
        except NoSuchFile:
            raise NotOnHub(f"{repository} holds no safetensors, and no other weights are loaded") from None
        for shard in shards(index):
            yield from _file(repository, shard, obey)
    return config.parent, f"{'Hugging Face cache' if known else 'the Hub'} ({repository})"


def shards(index: Path) -> list[str]:
    """The files that an index of weights names, without folders. Raises :class:`NotOnHub`."""
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise NotOnHub(f"{index} names no weights") from None
    return sorted(Path(str(name)).name for name in named)


def _file(repository: str, name: str, obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, Path]:
    """One file, in a thread of its own so that the task can tell how far it is and be stopped."""
    if (found := cached(repository, name)) is not None:
        return found
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    result: Future[Path] = Future()

    def attempt() -> None:
        try:
            result.set_result(fetch(repository, name))
        except NotOnHub as error:
            result.set_exception(error)
        except Exception as error:
            result.set_exception(NotOnHub(f"the Hub failed ({first_line(error)})"))

    thread = threading.Thread(target=attempt, daemon=True, name="download")
    yield Progress(f"downloading {name} of {repository}", 0, 0)
    bars = are_progress_bars_disabled()
    disable_progress_bars()
    thread.start()
    blobs = _place(repository) / "blobs"
    try:
        while thread.is_alive():
            thread.join(0.25)
            with contextlib.suppress(OSError):
                arrived = sum(part.stat().st_size for part in blobs.glob("*.incomplete"))
                yield Progress(f"downloading {name} of {repository}", arrived, 0)
            yield from obey()
    finally:
        if not bars:
            enable_progress_bars()
    return result.result()
