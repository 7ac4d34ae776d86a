"""Texts through a frozen encoder: sorted by token count, batched by tokens, pooled in every way in one pass."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.encoders import cache
from engine.encoders.features import (
    ROWS,
    Features,
    Group,
    Shard,
    Shelf,
    Unfinished,
    not_finite,
    pieces_in,
    pieces_of,
    shelf,
)
from engine.encoders.find import Encoder
from engine.encoders.sharing import Part, share
from engine.machine import physical_cores
from engine.runs.events import Encoded, Event, Notice
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from engine.encoders.features import Matrix

    Take = Callable[[slice, Mapping[str, Matrix], float], object]
    """gets some rows in order: which they are, their pieces by name, and the seconds that they took"""

PROGRESS_EVERY = 0.25  # seconds between two Progress events
EVERY = 3.0  # seconds of encoding that a stop or a kill loses at most
BUDGETS = {"cuda": 32768, "mps": 8192, "cpu": 1024}
"""tokens in a batch, padding included; on a CPU small enough for what is computed on to stay in its caches"""

FULL = 4
"""a batch that has this part of its tokens ends before a shorter text"""

_LOWERED: dict[tuple[tuple[Path, ...], str, str], int] = {}
"""tokens in a batch that an encoder's memory took, by weights, device and precision, until this process ends"""
WORKERS = 8
"""batches that a CPU computes side by side at most; beyond that, Python's lock would hold them up"""


class EncodeFailed(Exception):
    """The texts cannot be encoded here; the message says why."""


def encode(
    texts: Sequence[str],
    encoder: Encoder,
    control: Control,
    *,
    length: int = 128,
    group: Group = "top",
    poolings: Sequence[str] = (),
    device: str = "auto",
    role: str = "",
) -> Generator[Event, None, Features]:
    """Features of ``texts``, from the disk as far as they are there and undamaged.

    ``role`` is ``query``, ``document`` or neither: an encoder may have a prompt for it.
    ``length`` cuts each text, in tokens.
    These ``poolings`` are put on the disk and verified there, all of the group when none are named.
    Yields :class:`Encoded`, :class:`Paused`, :class:`Continued`, :class:`Notice`. Raises :class:`EncodeFailed`,
    :class:`NoEncoder` and, with all but the last ``EVERY`` seconds of encoding on the disk, :class:`Stopped`.
    """
    length, texts = min(length, encoder.positions), encoder.prompted(texts, role)
    from engine.device import place as place_on

    placement = place_on(device)
    yield from placement.notices()
    where, dtype = str(placement.device), placement.precision
    place = shelf(encoder.identity, texts, length, dtype, group)
    numbers = range(-(-len(texts) // ROWS))
    pieces = [name for one in poolings for name in pieces_of(one, encoder)]
    pieces = list(dict.fromkeys(pieces or pieces_in(group, encoder)))
    shards: dict[int, Shard] = {}
    damaged: list[Exception] = []
    for number in numbers:
        try:
            if (found := place.shard(number, pieces)) is not None:
                shards[number] = found
        except (OSError, ValueError) as error:
            damaged.append(error)
        yield from handle_messages(control, 0)
    if damaged:
        some = f"{len(damaged)} of {len(numbers)} cached parts of the features cannot be used"
        yield Notice(f"{some} and are computed again: {damaged[0]}", "warning", "cache")
    there = sum(len(shard.rows) for shard in shards.values())
    if there:
        yield Encoded(encoder.name, there, len(texts), there, 0.0, 0.0)
    if missing := [number for number in numbers if number not in shards]:
        machine = _Machine(encoder, where, dtype)
        meter = _Meter(encoder.name, len(texts), there)
        names = pieces if poolings else pieces_in(place.group, encoder)
        yield from _fill(texts, names, control, machine, meter, length, place, missing, shards)
        cache.trim()
    return Features([shards[number] for number in numbers], len(texts), encoder)


def encode_now(
    texts: Sequence[str], machine: _Machine, length: int, pooling: str, role: str = ""
) -> NDArray[np.float32]:
    """Features of a few texts, at once and without the disk: for a sentence that is being typed."""
    import numpy as np

    rows, encoder = np.arange(len(texts), dtype=np.int64), machine.encoder
    ids = encoder.ids(encoder.prompted(texts, role), min(length, encoder.positions))
    order = sorted(range(len(ids)), key=lambda row: (-len(ids[row]), row))
    names = pieces_of(pooling, encoder)
    pieces: dict[str, Any] = {}
    for _ in machine.run([ids[row] for row in order], names, lambda _, found, __: pieces.update(found), Control()):
        pass
    held = Shard(rows[order], None, pieces)
    return Features([held], len(texts), encoder).pooled(pooling)


def machine_for(encoder: Encoder, device: str = "auto", budget: int = 0) -> _Machine:
    """An opened encoder for :func:`encode_now`; ``budget``: tokens in a batch, 0 for what suits the device."""
    from engine.device import place

    placement = place(device)
    return _Machine(encoder, str(placement.device), placement.precision, budget)


def _fill(
    texts: Sequence[str],
    names: Sequence[str],
    control: Control,
    machine: _Machine,
    meter: _Meter,
    length: int,
    place: Shelf,
    missing: list[int],
    shards: dict[int, Shard],
) -> Iterator[Event]:
    """Compute the missing shards, with the other processes of the run where there are any."""
    import numpy as np

    yield meter.event()
    ids: list[list[int]] = []
    cut: list[bool] = []
    tokenizing = 0.0
    for start in range(0, len(texts), 4096):  # in blocks, so that stopping does not wait for all of them
        begun = time.monotonic()
        for found, truncated in machine.encoder.truncated(list(texts[start : start + 4096]), length):
            ids.append(found)
            cut.append(truncated)
        tokenizing += time.monotonic() - begun
        yield from handle_messages(control, meter.done)
    words = machine.encoder.tokenizer
    silent = words.specials - {words.unknown} | {words.eos if words.eos is not None else 0}
    bare = sum(silent.issuperset(found) and bool(text.strip()) for text, found in zip(texts, ids, strict=True))
    if bare:
        said = f"{bare:,} of {len(texts):,} texts have no token in the vocabulary of {machine.encoder.name}"
        yield Notice(f"{said}: their vectors are all the same", "warning", "vocabulary")
    order = sorted(range(len(ids)), key=lambda row: (-len(ids[row]), row))
    meter.begin(sum(len(ids[row]) for number in missing for row in order[number * ROWS : (number + 1) * ROWS]))
    parts = []
    for number in missing:
        rows = np.array(order[number * ROWS : (number + 1) * ROWS], np.int64)
        some = [ids[row] for row in rows]
        parts.append(Part(number, rows, some, tokenizing * len(rows) / len(ids), sum(cut[row] for row in rows)))
    compute = partial(compute_shards, names=names, control=control, machine=machine, place=place, shards=shards)
    parts = yield from share(parts, machine.record(), names, place, shards, partial(compute, meter=meter), control)
    meter.done = len(texts) - sum(len(part.ids) for part in parts)
    yield from compute(parts, meter=meter)


def compute_shards(
    parts: Sequence[Part],
    names: Sequence[str],
    control: Control,
    machine: _Machine,
    place: Shelf,
    shards: dict[int, Shard],
    meter: _Meter | None = None,
) -> Iterator[Event]:
    """Compute the pieces ``names`` of shards in order, putting each on the disk before the next."""
    told_full = False
    for part in parts:
        shard = Unfinished(part.number, part.rows, names, machine.encoder.width, place)
        left = [part.ids[row] for row in shard.left]
        if meter is not None:
            meter.found(len(part.ids) - len(left), sum(map(len, part.ids)) - sum(map(len, left)))
        yield from machine.run(left, names, shard.take, control, meter, EVERY)
        shards[part.number] = shard.finished(part.tokenizing, part.truncated)
        if shard.failure is not None and not told_full:
            reason = shard.failure.strerror or shard.failure
            yield Notice(f"features cannot be kept on the disk ({reason}): kept in memory", "warning", "cache")
            told_full = True
        if meter is not None:
            yield meter.event()


class _Meter:
    """Texts done, their speed, and the time left by tokens, since the long texts come first."""

    def __init__(self, what: str, total: int, there: int) -> None:
        self.what, self.total, self.there, self.done = what, total, there, there
        self._tokens_done = self._tokens = 0
        self._begun = self._told = time.monotonic()

    def begin(self, tokens: int) -> None:
        self._tokens, self._begun = tokens, time.monotonic()

    def add(self, texts: int, tokens: int) -> Iterator[Event]:
        self.done += texts
        self._tokens_done += tokens
        if time.monotonic() - self._told >= PROGRESS_EVERY:
            yield self.event()

    def waited(self, seconds: float) -> None:
        self._begun += seconds

    def found(self, texts: int, tokens: int) -> None:
        """So many of the texts that were to be computed are on the disk."""
        self.there, self.done, self._tokens = self.there + texts, self.done + texts, self._tokens - tokens

    def event(self) -> Encoded:
        self._told = now = time.monotonic()
        spent = max(now - self._begun, 1e-9)
        made = self.done - self.there
        left = spent / self._tokens_done * (self._tokens - self._tokens_done) if self._tokens_done else 0.0
        rate = made / spent if made else 0.0
        return Encoded(self.what, self.done, self.total, self.there, round(rate, 2), round(left, 2))


class _Machine:
    """An encoder on its device; remembers how many tokens a batch may have there.

    A CPU computes several batches side by side, each on few cores: the cores of one batch would wait for each other
    after every operation, and long where other processes use them too.
    """

    def __init__(self, encoder: Encoder, device: str, dtype: str, budget: int = 0) -> None:
        cores = physical_cores()
        workers = min(cores, WORKERS) if device == "cpu" else 1
        self.threads = cores // workers
        self.workers = max(1, workers // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # of torchrun's processes
        self.encoder, self.device = encoder, device
        self._key = encoder.weights, device, dtype
        self.budget = budget or _LOWERED.get(self._key) or BUDGETS[device.partition(":")[0]]
        self.model = encoder.open(device, dtype)
        if device == "cpu" and dtype == "float32":
            from engine.encoders.linear import use_onednn

            use_onednn(self.model)

    def record(self) -> dict[str, Any]:
        """What another process needs to open the same encoder on a device of the same kind, as JSON can hold it."""
        encoder = self.encoder
        about = {"name": encoder.name, "source": encoder.source, "config": encoder.config}
        files = [str(file) for file in encoder.weights]
        return {**about, "weights": files, "device": self.device.partition(":")[0], "budget": self.budget}

    def run(
        self,
        ids: Sequence[Sequence[int]],
        names: Sequence[str],
        take: Take,
        control: Control,
        meter: _Meter | None = None,
        every: float = math.inf,
    ) -> Iterator[Event]:
        """Give ``take`` the pieces ``names`` of ``ids``, longest first, float32 ``(rows, width)``.

        It is called every so many seconds and at the end. Their time has no pauses in it.
        """
        import torch

        from engine.device import threads

        width = self.encoder.width
        gathered = {name: torch.empty(len(ids), width, device=self.device) for name in names}
        done = start = taken = 0
        since = time.monotonic()
        ahead: deque[tuple[Sequence[Sequence[int]], Future[dict[str, Tensor]]]] = deque()
        with threads(self.threads), ThreadPoolExecutor(self.workers) as pool:
            try:
                while done < len(ids):
                    while start < len(ids) and len(ahead) < 2 * self.workers:
                        batch = self._batch(ids, start)
                        ahead.append((batch, pool.submit(self._pool, batch, names)))
                        start += len(batch)
                    batch, computed = ahead.popleft()
                    try:
                        found = computed.result()
                    except (RuntimeError, MemoryError) as error:
                        wait([other for _, other in ahead if not other.cancel()])
                        ahead.clear()
                        start = done
                        yield self._halve(error, batch)
                        continue
                    for name, vectors in found.items():
                        gathered[name][done : done + len(batch)] = vectors
                    done += len(batch)
                    if done == len(ids) or time.monotonic() - since >= every:
                        pieces = {name: tensor[taken:done].cpu().numpy() for name, tensor in gathered.items()}
                        self._check(pieces)
                        now = time.monotonic()  # others are computed while these are taken
                        take(slice(taken, done), pieces, now - since)
                        taken, since = done, now
                    if meter is not None:
                        yield from meter.add(len(batch), sum(map(len, batch)))
                    begun = time.monotonic()
                    yield from handle_messages(control, meter.done if meter is not None else done)
                    if (waited := time.monotonic() - begun) > PROGRESS_EVERY:
                        since += waited
                        if meter is not None:
                            meter.waited(waited)
            finally:
                pool.shutdown(cancel_futures=True)

    def _check(self, pieces: Mapping[str, Matrix]) -> None:
        """Raise :class:`EncodeFailed` where they are not finite."""
        spoilt = not_finite(pieces)
        if spoilt.any():
            raise EncodeFailed(
                f"{self.encoder.name}: features of {int(spoilt.sum()):,} of {len(spoilt):,} texts hold NaN or infinite "
                "numbers; its weights are damaged or too large for this precision"
            )

    def _batch(self, ids: Sequence[Sequence[int]], start: int) -> Sequence[Sequence[int]]:
        """The texts that are encoded together from ``start`` on, as many as the budget allows.

        A batch that is full enough ends where the length changes: texts of one length need neither padding nor a mask.
        """
        longest = len(ids[start])
        end = min(len(ids), start + max(1, self.budget // longest))
        enough = start + -(-self.budget // (FULL * longest))
        for place in range(enough, end):
            if len(ids[place]) < len(ids[place - 1]):
                return ids[start:place]
        return ids[start:end]

    def _pool(self, batch: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Tensor]:
        """Pieces of a batch by name, ``(len(batch), width)`` each, float32."""
        import torch

        with torch.inference_mode():
            return self._pieces(batch, names)

    def _pieces(self, batch: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Tensor]:
        import torch

        from engine.device import send

        longest = len(batch[0])
        counts = torch.tensor([len(ids) for ids in batch])
        filled = torch.zeros(len(batch), longest, dtype=torch.long)
        for row, ids in enumerate(batch):
            filled[row, : len(ids)] = torch.tensor(ids)
        padded = bool((counts < longest).any())
        counts = send(counts, self.device)
        mask = torch.arange(longest, device=self.device)[None] < counts[:, None] if padded else None
        out = self.model(
            input_ids=send(filled, self.device),
            attention_mask=mask.long() if mask is not None else None,
            output_hidden_states=True,
        )
        layers = out.hidden_states
        top = layers[-1].float()
        result: dict[str, Tensor] = {}
        for name in names:
            if name == "cls":
                result[name] = top[:, 0]
            elif name == "last":
                result[name] = top[torch.arange(len(batch), device=self.device), counts - 1]
            elif name in ("weighted", "sqrt"):
                weights = torch.ones(len(batch), longest, device=self.device)
                weights = weights.cumsum(1) if name == "weighted" else weights
                weights = weights if mask is None else weights * mask
                whole = weights.sum(1, keepdim=True)
                result[name] = (top * weights[..., None]).sum(1) / (whole if name == "weighted" else whole.sqrt())
            elif name == "max":
                result[name] = (top if mask is None else top.masked_fill(~mask[..., None], -torch.inf)).amax(1)
            else:
                layer = layers[int(name.partition(".")[2])].float()
                if mask is None:
                    result[name] = layer.mean(1)
                else:
                    result[name] = layer.masked_fill(~mask[..., None], 0.0).sum(1) / counts[:, None]
        return result

    def _halve(self, error: BaseException, batch: Sequence[Sequence[int]]) -> Notice:
        """Allow half of the tokens of a batch that did not fit, here and in every later encoding with this encoder."""
        from engine.device import out_of_memory, release

        if not out_of_memory(error):
            raise EncodeFailed(f"{self.encoder.name} failed ({str(error).splitlines()[0]})") from error
        if len(batch) == 1:
            raise EncodeFailed("there is not enough memory for a single text: cut the texts shorter") from None
        error.__traceback__ = None  # its frames hold what was computed
        release(self.device)
        self.budget = _LOWERED[self._key] = max(1, len(batch) * len(batch[0]) // 2)
        return Notice(f"out of memory: going on with {self.budget:,} tokens in a batch", "warning", "memory")
