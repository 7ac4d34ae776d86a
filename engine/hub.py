"""Files of Hugging Face repositories: from the cache, else from the Hub when it answers at once.

A repository is named ``OWNER/NAME`` or, at a revision (branch, tag or commit), ``OWNER/NAME@REVISION``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from engine import hub_requests
from engine.errors import first_line
from engine.hub_requests import PORTAL, UNANSWERED, NotOnHub, Offline, cache, run, unreachable
from engine.runs.events import Event
from engine.runs.messages import finish

__all__ = ["NotOnHub", "Offline", "cache", "run", "unreachable"]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST = 96  # characters of a repository's name
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


class NoSuchFile(NotOnHub):
    """The repository is there and holds no file of this name."""


def cached(repository: str, name: str) -> Path | None:
    """The newest cached copy of a file of a repository, without any network."""
    found = _looked_up(repository, name)
    return Path(found) if isinstance(found, str) else None


def has(repository: str) -> bool:
    """Whether the cache holds anything of a repository."""
    bare = at_revision(repository)[0]
    return len(bare) <= LONGEST and (_place(repository) / "snapshots").is_dir()


def holds(repository: str, name: str = WEIGHTS) -> bool:
    """Whether the cache holds a file of a repository, or weights in parts; looks only at the names of files."""
    return has(repository) and any((_place(repository) / "snapshots").glob(f"*/{name}*"))


def of_aliases(repositories: Sequence[str], name: str = WEIGHTS) -> str:
    """Of several names of one repository that under which the cache holds a file; else the first.

    The Hub knows them all, so that only one is ever asked for.
    """
    return next((repository for repository in repositories if holds(repository, name)), repositories[0])


def at_revision(repository: str) -> tuple[str, str | None]:
    """Name and revision; None for the newest."""
    bare, _, revision = repository.partition("@")
    return bare, revision or None


def _place(repository: str) -> Path:
    return cache() / f"models--{at_revision(repository)[0].replace('/', '--')}"


def fetch(repository: str, name: str) -> Path:
    """A file of a repository, from the cache or downloaded into it. Raises :class:`NotOnHub`."""
    return finish(download(repository, name, lambda: iter(())))


def beside(repository: str, name: str, *, ask: bool) -> Path | None:
    """A file that a repository need not have, downloaded where ``ask``; None where there is none. What the cache knows
    to be missing is not asked for again. Raises :class:`NotOnHub`.
    """
    found = _looked_up(repository, name)
    if found is None and ask:
        with contextlib.suppress(NoSuchFile):
            return fetch(repository, name)
    return Path(found) if isinstance(found, str) else None


def download(repository: str, name: str, obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, Path]:
    """As :func:`fetch`, while the task can tell how far it is, and be stopped by what ``obey`` raises."""
    bare, revision = at_revision(repository)
    if len(bare) > LONGEST or not _NAME.fullmatch(bare):
        raise NotOnHub("this cannot be the name of a repository on the Hub")
    found = _looked_up(repository, name)
    if isinstance(found, str):
        return Path(found)
    if found is not None and _COMMIT.fullmatch(revision or ""):
        raise NoSuchFile(f"its repository on the Hub holds no {name}")
    if reason := unreachable():
        raise Offline(reason)
    work = functools.partial(from_hub, bare, revision, name)
    return (yield from run(f"downloading {name} of {bare}", work, obey))


def model_folder(
    repository: str, obey: Callable[[], Iterator[Event]], others: Sequence[str] = ()
) -> Generator[Event, None, tuple[Path, str]]:
    """The folder with ``config.json`` and every safetensors file of a repository, and where they came from.

    Where the weights are not cached, the files of a tokenizer and ``others`` come before them, as far as the repository
    holds them. ``obey`` is called while a download runs; what it raises ends the task. Raises :class:`NotOnHub`.
    """
    known = holds(repository) and cached(repository, "config.json") is not None
    config = yield from download(repository, "config.json", obey)
    at = f"{at_revision(repository)[0]}@{config.parent.name}"  # of this commit: a branch may move between two files
    for name in () if known else ("tokenizer.json", "tokenizer_config.json", *others):
        with contextlib.suppress(NoSuchFile):
            yield from download(at, name, obey)
    try:  # last, so that a model whose weights are cached was downloaded whole
        yield from download(at, WEIGHTS, obey)
    except NoSuchFile:
        try:
            index = yield from download(at, INDEX, obey)
        except NoSuchFile:
            raise NotOnHub(f"{repository} holds no safetensors, and no other weights are loaded") from None
        for shard in shards(index):
            yield from download(at, shard, obey)
    return config.parent, f"{'Hugging Face cache' if known else 'the Hub'} ({repository})"


def shards(index: Path) -> list[str]:
    """The files that an index of weights names, without folders. Raises :class:`NotOnHub`."""
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise NotOnHub(f"{index} names no weights") from None
    return sorted(Path(str(name)).name for name in named)


def from_hub(bare: str, revision: str | None, name: str, kind: str = "model") -> Path:
    """Download a file of a repository of this kind; for :func:`run`. Raises :class:`NotOnHub`."""
    from huggingface_hub import errors, hf_hub_download

    try:
        limit = hub_requests.TIMEOUT * 2
        return Path(hf_hub_download(bare, name, repo_type=kind, revision=revision, etag_timeout=limit))
    except NotOnHub:
        raise
    except errors.HFValidationError:
        raise NotOnHub("this cannot be the name of a repository on the Hub") from None
    except errors.LocalEntryNotFoundError as error:
        raise (
            NotOnHub(PORTAL) if isinstance(error.__cause__, errors.FileMetadataError) else Offline(UNANSWERED)
        ) from None
    except errors.EntryNotFoundError:
        raise NoSuchFile(f"its repository on the Hub holds no {name}") from None
    except Exception as error:  # of whatever the libraries below it are made
        raise NotOnHub(f"the download failed ({first_line(error)})") from None


def _looked_up(repository: str, name: str) -> object:
    """The path of a file in the cache; None when nothing is known of it, something else when it is known not to be."""
    if not has(repository):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        bare, revision = at_revision(repository)
        return try_to_load_from_cache(bare, name, revision=revision)
    except HFValidationError:
        return None
