"""Shards of features that the processes of a run compute together on one machine, each every so many-th.

Rank 0 tokenizes, sends the token ids and computes its own part. Every process writes its shards into the same folder of
the cache, where rank 0 reads them; what another process could not compute, rank 0 computes itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.encoders.features import Shard, Shelf
from engine.runs.events import Continued, Encoded, Event, Notice, Paused
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STATE, DONE, ENDED, FAILURE = "state", "done", "ended", "failure"
"""keys of the store: one of the states below, texts that the others have encoded, others that have ended, an error"""
GO, PAUSE, STOP = "go", "pause", "stop"
WAIT = 0.1  # seconds between looks at how far the others are
STOP_TIMEOUT = 5.0  # seconds that the others have to finish a batch after a stop


@dataclass(frozen=True)
class Part:
    """The texts of one shard."""

    number: int
    rows: NDArray[np.int64]
    """where each stands in the list of texts, ``(texts,)``"""
    ids: list[list[int]]
    """their tokens, the longest first"""
    tokenizing: float
    """seconds"""
    truncated: int
    """texts that were cut"""


def share(
    parts: list[Part],
    record: Mapping[str, Any],
    names: Sequence[str],
    shelf: Shelf,
    shards: dict[int, Shard],
    compute: Callable[[list[Part]], Iterator[Event]],
    control: Control,
) -> Generator[Event, None, list[Part]]:
    """Compute ``parts`` with the other processes that torchrun started, into ``shards``; returns those that are left.

    That is all of them where there are no others on this machine, or fewer parts than processes. ``record`` tells the
    others all but the parts. Raises what ``compute`` raises and :class:`engine.ranks.RankLost`.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1 or world != int(os.environ.get("LOCAL_WORLD_SIZE", 1)) or len(parts) < world:
        return parts
    import torch.distributed as dist

    from engine.ranks import Order, join

    ranks = join()
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    store.set(STATE, GO)
    ranks.send_order(Order.ENCODE)
    sizes, flat = packed([part for place, part in enumerate(parts) if place % world])
    told = {"names": list(names), "shelf": str(shelf.path), "group": shelf.group, "port": store.port, "sizes": sizes}
    ranks.send({**record, **told}, flat)
    last: Encoded | None = None

    def relayed(events: Iterator[Event]) -> Iterator[Event]:
        """Let the others pause too, and count what they have done."""
        nonlocal last
        for event in events:
            if isinstance(event, Paused | Continued):
                store.set(STATE, PAUSE if isinstance(event, Paused) else GO)
            last = event if isinstance(event, Encoded) else last
            yield _together(event, store.add(DONE, 0)) if isinstance(event, Encoded) else event

    try:
        yield from relayed(compute(parts[::world]))
        counted, ended = -1, False
        while not ended:
            ended = store.add(ENDED, 0) == world - 1  # first: what they have done does not grow after that
            if last is not None and (done := store.add(DONE, 0)) != counted:
                counted = done
                yield _together(last, done)
            yield from relayed(handle_messages(control, counted))
            control.wait(WAIT)
    finally:
        store.set(STATE, STOP)
        latest = time.monotonic() + STOP_TIMEOUT
        while store.add(ENDED, 0) < world - 1 and time.monotonic() < latest:
            time.sleep(WAIT)
    if store.check([FAILURE]):
        reason = store.get(FAILURE).decode()
        yield Notice(f"another process could not encode its texts ({reason})", "warning", "ranks")
    for part in parts:
        with contextlib.suppress(OSError, ValueError):  # damaged
            if part.number not in shards and (found := shelf.shard(part.number, names)) is not None:
                shards[part.number] = found
    return [part for part in parts if part.number not in shards]


def packed(parts: Sequence[Part]) -> tuple[list[tuple[int, int, int, float, int]], NDArray[np.int32]]:
    """All of every part but arrays, and one array: the rows, lengths and tokens of one after another."""
    import numpy as np

    sizes = [(part.number, len(part.ids), sum(map(len, part.ids)), part.tokenizing, part.truncated) for part in parts]
    flat = [
        np.fromiter((*part.rows, *map(len, part.ids), *(token for ids in part.ids for token in ids)), np.int32)
        for part in parts
    ]
    return sizes, np.concatenate(flat)


def unpacked(sizes: Sequence[tuple[int, int, int, float, int]], flat: NDArray[np.int32]) -> list[Part]:
    """What :func:`packed` packed."""
    import numpy as np

    parts, start = [], 0
    for number, texts, tokens, tokenizing, truncated in sizes:
        rows, lengths, ids = np.split(flat[start : start + 2 * texts + tokens], [texts, 2 * texts])
        texts_ids = [one.tolist() for one in np.split(ids, lengths.cumsum()[:-1])]
        parts.append(Part(number, rows.astype(np.int64), texts_ids, tokenizing, truncated))
        start += 2 * texts + tokens
    return parts


def _together(event: Encoded, others: int) -> Encoded:
    """Progress of all processes from that of this one; the time left is this one's."""
    made = event.done - event.cached
    rate = event.sequences_per_second * (made + others) / made if made else 0.0
    return replace(event, done=event.done + others, sequences_per_second=round(rate, 2))
