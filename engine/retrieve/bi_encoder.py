"""A bi-encoder trained on queries and their relevant documents with in-batch negatives.

For a batch of query and document pairs, each query's own document must be nearer than those of the other queries
(Henderson et al., 2017): cross-entropy over the cosines of a row, times a scale. Trained is either a projection, a
matrix that begins as the identity, on frozen features that are cached (seconds), or the whole encoder (minutes). It
ends when nDCG on held-out training queries stops rising; the judged queries have no part in it. A projection is so
cheap that every training query is held out once: five trainings side by side say after how many epochs to stop, and a
sixth on all queries goes as far. For the whole encoder a fifth of them is held out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.comparison.head_training import or_on_cpu
from engine.encoders import index
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import Epoch, Training, best_of
from engine.encoders.find import Encoder
from engine.retrieve import metrics as retrieve_metrics
from engine.retrieve.bi_encoder_models import Projection, Whole
from engine.retrieve.spec import TRAINED
from engine.retrieve.training_data import Batch, BiSettings, Mode, Split, TrainingData, TrainingInputs, folds, split
from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

SCALE = 20.0  # of the cosines
SEEN = 24  # queries and documents of the matrix that is shown
POOLS: Mapping[Mode, int] = {"projection": 50_000, "whole": 512}
"""documents that held-out queries are ranked over, at most"""
CODE = 3  # raise it when the same settings would train otherwise
_MORE = "more.safetensors"  # the pool's vectors, kept with an epoch
FOLDS = 5  # parts of the training queries: each is held out once, of a whole encoder only one


@dataclass(frozen=True)
class BiState:
    """A trained bi-encoder at one step: what its vectors follow from."""

    step: int
    ndcg: float
    """nDCG@10 on the held-out queries"""
    loss: float
    """of the held-out queries over the same documents, nats a relevant document"""
    tensors: Mapping[str, Any]
    """of the projection (``weight``), or of the whole encoder by the names that transformers uses; torch, on the CPU"""
    pool: tuple[int, ...]
    """rows of the documents that were looked at, with their vectors"""
    pool_vectors: Any


Keep = Callable[[BiState], None]


def loss_of(queries: Tensor, documents: Tensor, false_negatives: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of unit vectors: row ``i`` of ``queries`` belongs to row ``i`` of ``documents``.

    ``documents`` may have more rows, which are negatives for all. ``false_negatives`` ``(queries, documents)`` marks
    documents that are relevant too and are passed over.
    """
    import torch
    from torch.nn import functional

    scores = SCALE * queries @ documents.T
    if false_negatives is not None:
        scores = scores.masked_fill(false_negatives, -torch.inf)
    return functional.cross_entropy(scores, torch.arange(len(queries), device=scores.device))


def train(
    inputs: TrainingInputs,
    control: Control,
    *,
    keep: Keep = lambda _: None,
    saved_epochs: EpochCheckpoints | None = None,
) -> Generator[Event, None, BiState]:
    """Train on the training queries and return the state with the best nDCG@10 on the held-out ones.

    ``keep`` gets the state after every look at the held-out queries, the first of them before any training: where
    training only makes it worse, the frozen encoder comes back. The training of a whole encoder resumes from
    ``saved_epochs``; the caller clears them when it has saved the result. Yields :class:`ContenderStep`. Raises
    :class:`CannotTrain`, :class:`Stopped`.
    """
    from engine.device import place

    inputs = replace(inputs, settings=inputs.settings.chosen(), device=str(place(inputs.device).device))
    if inputs.settings.mode == "projection":
        return (yield from _projection(inputs, control, keep, device=inputs.device))
    training = _BiTraining(inputs, split(inputs.collection, FOLDS, inputs.settings.seed), control, keep)
    yield from training.run(saved_epochs)
    return training.best()


@or_on_cpu
def _projection(
    inputs: TrainingInputs, control: Control, keep: Keep, *, device: str
) -> Generator[Event, None, BiState]:
    import torch

    inputs, threads = replace(inputs, device=device), torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # matrices this small only lose by being shared out among threads
        parts = folds(inputs.collection, FOLDS, inputs.settings.seed)
        return (yield from _cross([_BiTraining(inputs, part, control, keep) for part in parts]))
    finally:
        torch.set_num_threads(threads)


def saved_epochs_of(fingerprint: str, encoder: Encoder, settings: BiSettings) -> EpochCheckpoints | None:
    """Where the epochs of a whole encoder's training are kept; a projection is trained in seconds, so nowhere."""
    if settings.mode == "projection":
        return None
    return EpochCheckpoints(CODE, "bi-encoder", encoder.identity, asdict(settings.chosen()), fingerprint)


def _cross(trainings: Sequence[_BiTraining]) -> Generator[Event, None, BiState]:
    """Train with every part held out once, side by side, then on all queries for as many epochs as was best."""
    import numpy as np

    lead = trainings[0]
    while (epoch := len(lead.history)) <= lead.settings.epochs and not lead.stops_early():
        if epoch:
            for training in trainings:
                for event in training.epoch(epoch - 1):
                    if training is lead or not isinstance(event, ContenderStep):
                        yield event
        values: list[Any] = []
        losses: list[float] = []
        for training in trainings:
            ndcg, some = yield from training.search()
            values.append(ndcg)
            losses += some
        score, loss = float(np.concatenate(values).mean()), sum(losses) / len(losses)
        lead.history.append(Epoch(epoch * lead.per_epoch, score, loss))
        lead.keep(lead.state(lead.bi_encoder.tensors()))
        yield lead.epoch_event()
    best_epoch = best_of(lead.history)
    every = tuple(sorted(lead.data.relevant))
    last = _BiTraining(lead.inputs, Split(every, every), lead.control, lead.keep)
    last.seen, last.offset = lead.seen, lead.step
    steps, note = lead.step + last.per_epoch * best_epoch, "on all train queries"
    last.history = [replace(lead.history[best_epoch], step=steps)]
    for epoch in range(best_epoch):
        for event in last.epoch(epoch):
            yield replace(event, steps=steps, note=note) if isinstance(event, ContenderStep) else event
    yield from last.search()
    state = last.state(last.bi_encoder.tensors())
    last.keep(state)
    epochs = "1 epoch" if best_epoch == 1 else f"{best_epoch} epochs"
    told = f"trained on all train queries for {epochs}" if best_epoch else "left as it was"
    yield replace(last.event(told), steps=steps)
    return state


class _BiTraining(Training):
    """Trains on one part of the queries; the other part is held out."""

    FIRST = 0
    TITLE = "training"
    SOURCE = "train"

    def __init__(self, inputs: TrainingInputs, parts: Split, control: Control, keep: Keep) -> None:
        self.inputs, self.split, self.keep = inputs, parts, keep
        self.data = TrainingData(inputs, parts)
        self.pool = self.data.pool(POOLS[inputs.settings.mode])
        self.pool_vectors: Any = None
        """vectors of the pool at the last measurement"""
        self.seen: Any = None
        """cosines ``(queries, documents)`` of the batch that is shown, on the device"""
        self.offset = 0
        """steps of earlier trainings, counted in events and states"""
        super().__init__(inputs.encoder, inputs.settings, control, inputs.device)

    def open(self) -> Any:
        self.bi_encoder: Projection | Whole
        if self.inputs.settings.mode == "projection":
            self.bi_encoder = Projection(self.inputs, self.pool)
        else:
            self.bi_encoder = Whole(self.inputs, self.pool, self.micro_batches)
        return self.bi_encoder.model

    def new_optimizer(self) -> Optimizer:
        import torch

        from engine.device import fused

        decay, one_kernel = self.settings.weight_decay, fused(self.device)
        return torch.optim.AdamW(self.model.parameters(), lr=self.peak, weight_decay=decay, fused=one_kernel)

    def warmup(self) -> int:
        return max(1, self.steps // 10)

    def batches(self, epoch: int) -> list[Batch]:
        return self.data.batches(epoch)

    def weight(self, batch: Batch) -> int:
        return 1

    def loss(self, batch: Batch) -> Tensor:
        import torch

        from engine.device import send

        names, rows = batch
        queries, documents = self.bi_encoder.queries(names), self.bi_encoder.documents(rows)
        if len(names) >= min(SEEN, self.settings.rows, len(self.data.pairs)) or self.seen is None:  # no small rest
            self.seen = (queries[:SEEN] @ documents[:SEEN].T).detach().float()
        return loss_of(queries, documents, send(torch.tensor(self.data.false_negatives(batch)), self.device))

    def similarity(self) -> tuple[list[float], ...]:
        """The rows of the matrix that is shown; waits for the device."""
        rows = self.seen.tolist() if self.seen is not None else []
        return tuple([round(value, 3) for value in row] for row in rows)

    def judge(self) -> Generator[Event, None, tuple[float, float]]:
        yield self.event(f"encoding {len(self.pool):,} documents that held-out queries are ranked over")
        ndcg, losses = yield from self.search()
        return sum(losses) / len(losses), float(ndcg.mean())

    def search(self) -> Generator[Event, None, tuple[Any, list[float]]]:
        """nDCG@10 of each held-out query over the pool, and the loss of each with each relevant document, nats."""
        import numpy as np

        self.pool_vectors = yield from self.bi_encoder.pool_vectors(self.control)
        asked = yield from self.bi_encoder.query_vectors(self.split.held, self.control)
        rows, scores = index.Exact(self.pool_vectors, self.device).search(asked, retrieve_metrics.DEPTH + 1)
        found = retrieve_metrics.rankings(np.asarray(self.pool)[rows], scores)
        ranked = [one.without(self.data.own[query]) for one, query in zip(found, self.split.held, strict=True)]
        grades = [self.inputs.collection.relevant("train", query) for query in self.split.held]
        return retrieve_metrics.judge(ranked, grades)[retrieve_metrics.NDCG], self._held_losses(asked)

    def _held_losses(self, asked: Any) -> list[float]:
        """How surely held-out queries find their documents: what tells two states of equal nDCG apart."""
        import numpy as np

        places = {row: place for place, row in enumerate(self.pool)}
        losses = []
        for query, vector in zip(self.split.held, asked, strict=True):
            scores = SCALE * (self.pool_vectors @ vector).astype(np.float64)
            if (own := self.data.own[query]) is not None and own in places:
                scores[places[own]] = -np.inf
            norm = float(scores.max() + np.log(np.exp(scores - scores.max()).sum()))
            losses += [norm - float(scores[places[row]]) for row in self.data.relevant[query]]
        return losses

    def state(self, tensors: Mapping[str, Any]) -> BiState:
        """What there is now, after a measurement."""
        last, step = self.history[-1], self.offset + self.step
        return BiState(step, last.score, last.loss, tensors, self.pool, self.pool_vectors)

    def files(self) -> Mapping[str, bytes]:
        import numpy as np
        import torch
        from safetensors.torch import save

        return {_MORE: save({"pool": torch.from_numpy(np.ascontiguousarray(self.pool_vectors))})}

    def best(self) -> BiState:
        """The best state so far."""
        from safetensors.torch import load

        best, found = self.history[best_of(self.history)], load(self.best_files[_MORE])["pool"].numpy()
        return BiState(best.step, best.score, best.loss, self.best_weights, self.pool, found)

    def resume(self, saved_epochs: EpochCheckpoints) -> Iterator[Event]:
        yield from super().resume(saved_epochs)
        if self.history:
            self.keep(self.best())

    def measure(self) -> Iterator[Event]:
        yield from super().measure()
        self.keep(self.state(self.best_weights if self.is_best() else self.bi_encoder.tensors()))

    def step_event(self, epoch: int) -> ContenderStep:
        return self.event(f"epoch {epoch + 1}")

    def epoch_event(self) -> ContenderStep:
        epoch = len(self.history) - 1
        note = f"epoch {epoch}{', the best so far' if self.is_best() else ''}" if epoch else "before training"
        return self.event(note, self.history[-1].score)

    def event(self, note: str, score: float | None = None) -> ContenderStep:
        """Progress; ``score`` is the nDCG of a measurement that just ended."""
        best = self.history[best_of(self.history)] if self.history else None
        return ContenderStep(
            TRAINED,
            self.offset + self.step,
            self.offset + self.steps,
            self.recent_loss(),
            None,
            score,
            self.seconds_left(),
            note,
            best.score if best else None,
            best.step if best else 0,
            self.similarity(),
            len(self.pool) if score is not None else 0,
        )
