"""Weights of a repository on the Hugging Face Hub: from the cache, or downloaded by a task that can be stopped."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from engine import hub
from engine.events import Event, Progress

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def model_folder(repository: str, obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, tuple[Path, str]]:
    """The folder with ``config.json`` and every safetensors file of a repository, and where they came from.

    ``obey`` is called while a download runs; what it raises ends the task. Raises :class:`engine.hub.NotOnHub`.
    """
    known = hub.cached(repository, "config.json") is not None
    config = hub.fetch(repository, "config.json")
    try:
        yield from _file(repository, WEIGHTS, obey)
    except hub.NoSuchFile:
        try:
            index = yield from _file(repository, INDEX, obey)
        except hub.NoSuchFile:
            raise hub.NotOnHub(f"{repository} holds no safetensors, and no other weights are loaded") from None
        for shard in shards(index):
            yield from _file(repository, shard, obey)
    return config.parent, f"{'Hugging Face cache' if known else 'the Hub'} ({repository})"


def shards(index: Path) -> list[str]:
    """The files that an index of weights names, without folders. Raises :class:`engine.hub.NotOnHub`."""
    try:
        named = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise hub.NotOnHub(f"{index} names no weights") from None
    return sorted(Path(str(name)).name for name in named)


def _file(repository: str, name: str, obey: Callable[[], Iterator[Event]]) -> Generator[Event, None, Path]:
    """One file, in a thread of its own so that the task can tell how far it is and be stopped."""
    if (found := hub.cached(repository, name)) is not None:
        return found
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    done: list[Path | hub.NotOnHub] = []

    def fetch() -> None:
        try:
            done.append(hub.fetch(repository, name))
        except hub.NotOnHub as error:
            done.append(error)
        except Exception as error:
            done.append(hub.NotOnHub(f"the Hub failed ({hub.first_line(error)})"))

    thread = threading.Thread(target=fetch, daemon=True, name="download")
    yield Progress(f"downloading {name} of {repository}", 0, 0)
    bars = are_progress_bars_disabled()
    disable_progress_bars()
    thread.start()
    blobs = hub.cache() / f"models--{repository.replace('/', '--')}" / "blobs"
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
    if isinstance(done[0], hub.NotOnHub):
        raise done[0]
    return done[0]
