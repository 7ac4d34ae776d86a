"""Files of Hugging Face repositories: from the cache, else from the Hub when it answers at once."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from engine.events import Event, Progress

PATIENCE = 1.5  # seconds that the Hub has to answer; the library itself would try for half a minute
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
        found = try_to_load_from_cache(repository, name)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def has(repository: str) -> bool:
    """Whether the cache holds anything of a repository."""
    return len(repository) <= LONGEST and (cache() / f"models--{repository.replace('/', '--')}" / "snapshots").is_dir()


def cache() -> Path:
    """The folder of the Hugging Face cache, as its library finds it, without importing it."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def forbidden() -> bool:
    """Whether the user's settings keep Hugging Face libraries off the network."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def answers() -> bool:
    """Whether the Hub answers within ``PATIENCE``. Any answer counts; it is remembered for a minute."""
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    known = _answers.get(address)
    if known is None or time.monotonic() - known[0] > REMEMBERED:
        answer: list[bool] = []
        # Looking up a host's name knows no time limit, so a thread does it that nobody has to wait for.
        thread = threading.Thread(target=lambda: answer.append(_ask(address)), daemon=True, name="hub")
        thread.start()
        thread.join(PATIENCE)
        known = _answers[address] = (time.monotonic(), bool(answer) and answer[0])
    return known[1]


def fetch(repository: str, name: str) -> Path:
    """A file of a repository, from the cache or downloaded into it. Raises :class:`NotOnHub`."""
    if len(repository) > LONGEST or not _NAME.fullmatch(repository):
        raise NotOnHub("this cannot be the name of a repository on the Hub")
    if (found := cached(repository, name)) is not None:
        return found
    if forbidden():
        raise Offline("the Hub is not asked (HF_HUB_OFFLINE is set)")
    if not answers():
        raise Offline("the Hub does not answer")
    from huggingface_hub import errors, hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, etag_timeout=PATIENCE * 2))
    except errors.HFValidationError:
        raise NotOnHub("this cannot be the name of a repository on the Hub") from None
    except errors.GatedRepoError:
        raise NotOnHub("the Hub gives it only to those who accepted its terms") from None
    except errors.RepositoryNotFoundError:
        raise NotOnHub("the Hub has no public repository of this name") from None
    except errors.LocalEntryNotFoundError:
        raise Offline("the Hub does not answer") from None
    except errors.EntryNotFoundError:
        raise NoSuchFile(f"its repository on the Hub holds no {name}") from None
    except (errors.HfHubHTTPError, OSError) as error:
        raise NotOnHub(
            f"the Hub failed ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from None


def download(repository: str, name: str, check: Callable[[], Iterator[Event]]) -> Generator[Event, None, Path]:
    """A file of a repository, fetched in a thread of its own.

    Meanwhile yields its progress and the events of ``check``, which may raise. Raises :class:`NotOnHub`.
    """
    if (found := cached(repository, name)) is not None:
        return found
    done: list[Path | NotOnHub] = []

    def work() -> None:
        try:
            done.append(fetch(repository, name))
        except NotOnHub as error:
            done.append(error)
        except Exception as error:
            done.append(
                NotOnHub(f"the Hub failed ({str(error).strip().partition(chr(10))[0] or type(error).__name__})")
            )

    thread = threading.Thread(target=work, daemon=True, name="download")
    thread.start()
    blobs = cache() / f"models--{repository.replace('/', '--')}" / "blobs"
    arrived = 0
    while thread.is_alive():
        yield Progress(f"downloading {name} of {repository}", arrived, 0)
        thread.join(0.25)
        with contextlib.suppress(OSError):
            arrived = sum(part.stat().st_size for part in blobs.glob("*.incomplete"))
        yield from check()
    if isinstance(done[0], NotOnHub):
        raise done[0]
    return done[0]


def _ask(address: str) -> bool:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "llmlab-tui"})
    try:
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # it refuses, so it is there
    except (OSError, ValueError):
        return False
    return True
