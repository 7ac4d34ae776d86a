"""What a task says while it works: small frozen dataclasses, the same in memory, in ``events.jsonl`` and on stdout."""

from __future__ import annotations

import math
import re
import typing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Anything a task yields."""


@dataclass(frozen=True)
class Started(Event):
    """The task is set up. ``step`` is where it begins: readers forget what they knew about later steps."""

    run: str
    step: int
    steps: int
    corpus: str
    fingerprint: str
    characters: int
    distinct: int
    train_tokens: int
    validation_tokens: int
    uniform_entropy: float
    """nats per character, like the next two"""
    unigram_entropy: float
    bigram_entropy: float | None
    parameters: int
    tokens_per_step: int
    memory_needed: int
    """bytes, estimated"""
    memory_free: int | None
    """bytes on the device that trains, None when it cannot be told"""
    device: str
    precision: str
    threads: int
    peak_flops: float
    """multiplications and additions per second of a large matrix product, measured just now"""
    preset: str


@dataclass(frozen=True)
class Step(Event):
    """One optimizer step. ``step`` counts finished steps, so the first is 1."""

    step: int
    loss: float
    """mean cross-entropy of the batch, nats per character, in training mode"""
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    peak_share: float
    """share of ``peak_flops`` that the model's arithmetic amounts to"""
    seconds_left: float


@dataclass(frozen=True)
class Evaluated(Event):
    """The loss on the whole validation split at ``step``, exact."""

    step: int
    val_loss: float
    """nats per character"""
    bits_per_character: float
    train_loss: float | None
    """mean of the batches since the last evaluation"""
    best_val_loss: float
    best_step: int
    seconds: float


@dataclass(frozen=True)
class SampleText(Event):
    """A piece of a sample from the weights of ``step``. Pieces of a ``sample`` come in order, the last is ``done``."""

    step: int
    sample: str
    text: str
    prompt: str = ""
    done: bool = False


@dataclass(frozen=True)
class Progress(Event):
    """How far a part of the work is. ``total`` is 0 when it is unknown."""

    what: str
    done: float
    total: float


@dataclass(frozen=True)
class Estimated(Event):
    """Measured on the first steps: what the whole run will take."""

    seconds_per_step: float
    seconds_left: float


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint is on the disk, synced."""

    step: int
    path: str
    bytes: int
    seconds: float
    """from the decision to the last fsync"""
    stall: float
    """seconds of it that training stood still"""
    best: bool


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know. ``kind`` names it for programs, ``level`` is info, warning or error."""

    text: str
    level: str = "info"
    kind: str = ""
    step: int | None = None


@dataclass(frozen=True)
class Paused(Event):
    """Training waits; the model stays loaded and samples can be taken."""

    step: int


@dataclass(frozen=True)
class Continued(Event):
    """Training goes on after a pause."""

    step: int


@dataclass(frozen=True)
class Finished(Event):
    """The last event of a task.

    ``reason``: ``steps`` all done, ``early_stop``, ``stopped`` on request, ``diverged``, ``failed``, or ``died`` when
    a follower found the owner gone.
    """

    reason: str
    step: int
    best_val_loss: float | None
    run: str
    seconds: float = 0.0


_KINDS: dict[str, type[Event]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in Event.__subclasses__()
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


_allowed: dict[type[Event], dict[str, frozenset[type]]] = {}


def to_dict(event: Event) -> dict[str, Any]:
    """An event as JSON can hold it: its name under ``event``, then its fields; non-finite numbers become null."""
    fields = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(event).items()
    }
    return {"event": _NAMES[type(event)], **fields}


def from_dict(record: dict[str, Any]) -> Event | None:
    """The event that a record describes.

    None for a kind this version does not know, a record that lacks fields, and one whose values are of another type:
    a journal is a file, and files get damaged.
    """
    kind = _KINDS.get(str(record.get("event")))
    if kind is None:
        return None
    types = _types(kind)
    fields = {name: value for name, value in record.items() if name in types}
    if not all(type(value) in types[name] for name, value in fields.items()):
        return None
    try:
        return kind(**fields)
    except TypeError:
        return None


def _types(kind: type[Event]) -> dict[str, frozenset[type]]:
    """The types that JSON may give for each field; a whole number stands for any number."""
    if kind in _allowed:
        return _allowed[kind]
    allowed = _allowed[kind] = {}
    for name, hint in typing.get_type_hints(kind).items():
        wanted = set(typing.get_args(hint)) or {hint}
        allowed[name] = frozenset(wanted | {int} if float in wanted else wanted)
    return allowed
