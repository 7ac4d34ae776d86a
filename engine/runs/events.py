"""What a task yields: small frozen dataclasses, the same in memory, in ``events.jsonl`` and on stdout."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from engine.runs import codec


@dataclass(frozen=True)
class Event:
    """Anything a task yields."""


@dataclass(frozen=True)
class Started(Event):
    """Set-up is done. ``step`` is where training starts: a reader drops what it has read about later steps."""

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
    """nats per character, as the next two: the loss of a uniform guess"""
    unigram_entropy: float
    bigram_entropy: float | None
    parameters: int
    tokens_per_step: int
    memory_needed: int
    """bytes, estimated"""
    memory_free: int | None
    """bytes on the device that trains; None when unknown"""
    device: str
    precision: str
    threads: int
    peak_flops: float
    """floating point operations per second of a large matrix product, measured at the start"""
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
    """share of ``peak_flops`` that training reaches"""
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
    """A part of a sample at ``step``. The parts of one ``sample`` come in order, the last is ``done``."""

    step: int
    sample: str
    text: str
    prompt: str = ""
    done: bool = False


@dataclass(frozen=True)
class Progress(Event):
    """Progress of a part of the work. ``total`` is 0 when unknown; with a speed, both are bytes."""

    what: str
    done: float
    total: float
    bytes_per_second: float | None = None


@dataclass(frozen=True)
class Estimated(Event):
    """Duration of the whole run, estimated from the first steps."""

    seconds_per_step: float
    seconds_left: float


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint is on the disk, synced with fsync."""

    step: int
    path: str
    bytes: int
    seconds: float
    """from the decision to the last fsync"""
    stall: float
    """seconds of it during which training waited"""
    best: bool


@dataclass(frozen=True)
class Notice(Event):
    """A message for the user. ``kind`` names it for programs; ``level`` is info, warning or error."""

    text: str
    level: str = "info"
    kind: str = ""
    step: int | None = None


@dataclass(frozen=True)
class Paused(Event):
    """Training is paused; the model stays loaded and can be sampled."""

    step: int


@dataclass(frozen=True)
class Continued(Event):
    """Training continues after a pause."""

    step: int


@dataclass(frozen=True)
class Finished(Event):
    """The last event of a task.

    ``reason``: ``steps`` all done, ``early_stop``, ``stopped`` on request, ``diverged``, ``failed``, or ``died``, which
    a reader adds when the process that trained has ended without a last event.
    """

    reason: str
    step: int
    best_val_loss: float | None
    run: str
    seconds: float = 0.0

    @property
    def state(self) -> str:
        """Of the run after this event: finished, stopped, interrupted or failed."""
        return state_after(self.reason)


def state_after(reason: str) -> str:
    """The state of a run that ended for ``reason``."""
    ends = {"stopped": "stopped", "died": "interrupted"} | dict.fromkeys(("steps", "early_stop", "done"), "finished")
    return ends.get(reason, "failed")


@dataclass(frozen=True)
class Candidate:
    """A possible token at one position. Probabilities are from 0 to 1."""

    id: int
    text: str
    probability: float
    """of the model itself"""
    tempered: float
    """after repetition penalty and temperature"""
    final: float
    """after all settings, used for sampling; 0 when it was cut"""
    cut: str = ""
    """the setting that cut it: ``top_k``, ``top_p``, ``min_p``, ``greedy`` (all but the most probable), or empty"""


@dataclass(frozen=True)
class Token(Event):
    """One token of a prompt or a completion."""

    index: int
    """position in the sequence, prompt included"""
    id: int
    text: str
    """what it adds to the text; empty while a code point is incomplete, and for an end of text that was sampled"""
    logprob: float | None
    """natural logarithm of the model's own probability; None for the first token"""
    drawn_logprob: float | None
    """after the settings, as ``transformers`` scores it (greedy: after the penalty); None for a prompt's token"""
    rank: int | None
    """1 for the most probable token"""
    entropy: float | None
    """of the model's distribution at this position, nats"""
    kept: int | None
    """number of tokens that the settings left"""
    prompt: bool
    candidates: tuple[Candidate, ...] = ()
    """the most probable first; the token itself is among them"""
    stream: int = 0


@dataclass(frozen=True)
class Completed(Event):
    """The last event of a completion.

    ``reason``: ``length`` (the limit of tokens or the model's context is reached), ``eos``, ``stop`` on request,
    ``failed`` when the logits are not finite.
    """

    reason: str
    text: str
    """the completion without its prompt"""
    prompt_tokens: int
    tokens: int
    reused: int
    """prompt tokens whose keys and values were cached"""
    first_token_seconds: float
    tokens_per_second: float
    """of decoding, without the prefill"""
    seconds: float
    stream: int = 0


@dataclass(frozen=True)
class Compared(Event):
    """One setting of a comparison is done."""

    stream: int
    name: str
    """label of the setting"""
    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    max_new_tokens: int
    seed: int
    text: str
    reason: str
    tokens: int
    repetition_rate: float
    distinct_2: float | None
    """None for fewer than two tokens"""
    mean_logprob: float | None
    """of the model's own probabilities, nats a token; None without a token"""
    tokens_per_second: float


@dataclass(frozen=True)
class Loaded(Event):
    """The data set of a comparison is read and checked. Rows, questions or queries are counted, by the task."""

    task: str
    """classify, choose or retrieve"""
    data: str
    source: str
    train: int
    held_out: int
    judged: int
    judged_split: str
    """name of the evaluated split in the data set; empty when there is none"""
    fingerprint: str
    contenders: tuple[str, ...]
    """the methods that are compared"""
    checks: tuple[str, ...]
    """what was found and left unchanged, in words"""
    repairs: tuple[str, ...]
    """what was changed or left out while reading, in words"""
    classes: tuple[str, ...] = ()
    text_column: str = ""
    label_column: str = ""
    encoder: str = ""
    """as given in the spec"""
    documents: int = 0
    """of a collection"""


@dataclass(frozen=True)
class Encoded(Event):
    """Progress of an encoder."""

    what: str
    """the encoder"""
    done: int
    total: int
    cached: int
    """of those, read from the disk"""
    sequences_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EncodingDone(Event):
    """All texts of a comparison are encoded by a frozen encoder, now or by an earlier run. Methods share the cost."""

    encoder: str
    texts: int
    truncated_texts: int | None
    """cut to the maximum number of tokens; None for features of earlier versions"""
    seconds: float | None
    """measured when they were computed; None for features of earlier versions"""

    def __str__(self) -> str:
        cost = "time not measured" if self.seconds is None else f"{self.seconds:.1f} s"
        cut = f", {self.truncated_texts:,} of them truncated" if self.truncated_texts else ""
        return f"encoding ({self.encoder}): {cost}, {self.texts:,} texts{cut}"


@dataclass(frozen=True)
class ContenderStep(Event):
    """Progress of training one method: some solver iterations, an epoch of a head, a batch of fine-tuning."""

    contender: str
    step: int
    steps: int
    """upper limit; 0 when unknown"""
    loss: float
    """mean cross-entropy, nats: of the batches just trained, of the training rows for a solver"""
    held_out_loss: float | None
    """nats per row; None at steps without an evaluation, and in a retrieval"""
    held_out_score: float | None
    """accuracy, in a retrieval nDCG@10, on what is held out; None at steps without an evaluation"""
    seconds_left: float | None
    note: str = ""
    """for example the regularisation strength"""
    best_score: float | None = None
    """in a retrieval, the best until then, and its step"""
    best_step: int = 0
    similarity: tuple[Any, ...] = ()
    """cosines of the first queries of the last batch (rows) with its first documents, own document on the diagonal"""
    documents: int = 0
    """searched for that nDCG; 0 at steps without an evaluation"""


@dataclass(frozen=True)
class ContenderDone(Event):
    """One method of a comparison is done. ``result`` holds its figures."""

    contender: str
    result: dict[str, Any]
    against: dict[str, Any] = dataclasses.field(default_factory=dict)
    """in a retrieval, the differences to the methods before it"""


@dataclass(frozen=True)
class CurvePoint(Event):
    """Test accuracy of a method trained on ``labels`` labels per class: mean, lowest and highest of the draws."""

    contender: str
    labels: int
    rows: int
    accuracy: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class ItemJudged(Event):
    """A method has ranked one question of the evaluated split."""

    contender: str
    item: int
    """index in the evaluated split"""
    done: int
    total: int
    gold: int
    """index of the right choice; -1 when unknown"""
    scores: tuple[float, ...]
    """of the choices; the highest is chosen"""
    accuracy: float
    """of the questions so far"""
    low: float
    """of the 95% interval (Wilson)"""
    high: float
    ways: dict[str, Any] = dataclasses.field(default_factory=dict)
    """zero-shot: the scores by each way of normalising log-probabilities"""
    strips: tuple[Any, ...] = ()
    """zero-shot: for each choice its tokens and their log-probabilities"""


@dataclass(frozen=True)
class Classified(Finished):
    """The last event of a classification, a ranking of choices or a retrieval.

    ``reason`` is ``done`` or ``stopped``; ``results`` maps each method to its figures, baselines included.
    """

    results: dict[str, Any] = dataclasses.field(default_factory=dict)
    verdict: str = ""
    """summary in one or two sentences"""
    encodings: tuple[EncodingDone, ...] = ()
    """by each frozen encoder"""


@dataclass(frozen=True)
class LabStep(Event):
    """A step of the lab has another state than before; the first events of a lab give that of every step."""

    exercise: str
    """its number"""
    step: str
    state: str
    """not started, running, done or failed"""
    outcome: str = ""
    """of a claim that is done: holds, does not hold, could be chance or not tested"""
    text: str = ""
    """the figures, or why the work has failed"""
    seconds: float | None = None
    """of work that is not done: the time that it takes on this machine, estimated"""


_NAMES = {kind: re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() for kind in Event.__subclasses__()}
_NAMES |= dict.fromkeys((Completed, Classified), "finished")  # every command's last event carries this name
UNRECORDED: frozenset[type[Event]] = frozenset({Token, Completed, Compared, LabStep})
"""kinds that no journal holds: completions are kept by who asked for them, steps of the lab are read from runs"""
_KINDS: dict[str, type[Event]] = {
    name: kind for kind, name in _NAMES.items() if kind not in UNRECORDED and kind is not Classified
}


_CONTENDER = {"route": "contender", "method": "contender", "routes": "contenders", "methods": "contenders"}
_OLDER: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "data_loaded": (
        "loaded",
        {"validation": "held_out", "test": "judged"},
        {"task": "classify", "judged_split": "test"},
    ),
    "items_loaded": ("loaded", {}, {"task": "choose"}),
    "collection_loaded": ("loaded", {}, {"task": "retrieve", "held_out": 0}),
    "route_step": (
        "contender_step",
        {"validation_loss": "held_out_loss", "validation_accuracy": "held_out_score"},
        {},
    ),
    "bi_step": (
        "contender_step",
        {"ndcg": "held_out_score", "best_ndcg": "best_score"},
        {"contender": "trained", "held_out_loss": None},
    ),
    "route_done": ("contender_done", {}, {}),
    "ranker_done": ("contender_done", {}, {}),
    "item_ranked": ("item_judged", {}, {}),
    "curve_point": ("curve_point", {}, {}),
}
"""of earlier versions: the event that took its place, the new names of fields, and fields that it did not have"""


def names_of(name: str) -> frozenset[str]:
    """The name of an event, and those that it had in earlier versions."""
    return frozenset({name, *(older for older, (newer, *_) in _OLDER.items() if newer == name)})


def renamed(record: dict[str, Any]) -> dict[str, Any]:
    """The record of an event; one of an earlier version as this version writes it."""
    name = record.get("event")
    if not isinstance(name, str) or name not in _OLDER:
        return record
    newer, fields, added = _OLDER[name]
    fields = fields | _CONTENDER
    return {**added, **{fields.get(entry, entry): value for entry, value in record.items()}, "event": newer}


def to_dict(event: Event) -> dict[str, Any]:
    """An event as JSON can hold it: its name under ``event``, then its fields."""
    return {"event": _NAMES[type(event)], **codec.encode(event)}


def from_dict(record: dict[str, Any]) -> Event | None:
    """The event that a record describes.

    None for a kind this version does not know, a record that lacks fields, and one whose values are of another type:
    a journal is a file, and files get damaged.
    """
    record = renamed(record)
    name = record.get("event")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is Finished and "results" in record:
        kind = Classified
    try:
        return codec.decode(kind, record) if kind is not None else None
    except codec.Misfit:
        return None
