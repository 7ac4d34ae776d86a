"""A bi-encoder trained on queries and their relevant documents with in-batch negatives.

For a batch of query and document pairs, each query's own document must be nearer than those of the other queries
(Henderson et al., 2017): cross-entropy over the cosines of a row, times a scale. No two queries of a batch share a
relevant document, or a right answer would be punished as a wrong one. Trained is either a projection, a matrix that
begins as the identity, on frozen features that are cached (seconds), or the whole encoder (minutes). It ends when nDCG
on held-out training queries stops rising; the judged queries have no part in it. A projection is so cheap that every
training query is held out once: five trainings side by side say after how many epochs to stop, and a sixth on all
queries goes as far. For the whole encoder a fifth of them is held out.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.beir import Collection
from engine.encoders import index
from engine.encoders.encode import placed
from engine.encoders.epoch_checkpoints import Kept
from engine.encoders.epochs import share
from engine.encoders.find import Encoder
from engine.machine import physical_cores
from engine.retrieve import metrics as retrieve_metrics
from engine.retrieve.bi_encoder_models import Projection, Whole
from engine.retrieve.rankers import Bm25
from engine.retrieve.spec import TRAINED
from engine.runs.events import ContenderStep, Event, Notice
from engine.runs.messages import Control, heed

if TYPE_CHECKING:
    from torch import Tensor

    from engine.encoders.index import Matrix

Mode: TypeAlias = Literal["projection", "whole"]
SCALE = 20.0  # of the cosines
SEEN = 24  # queries and documents of the matrix that is shown
TELL = 0.4  # seconds between two words
FEWEST = 8  # training queries
POOLS: Mapping[Mode, int] = {"projection": 50_000, "whole": 512}
"""documents that held-out queries are ranked over, at most"""
CODE = 2  # raise it when the same settings would train otherwise
_MORE = "more.safetensors"  # the pool's vectors, kept with an epoch
FOLDS = 5  # parts of the training queries, each held out once


class CannotTrain(Exception):
    """There is too little to train on; the message says what is missing."""


@dataclass(frozen=True)
class BiSettings:
    """How a bi-encoder is trained. Zeros are chosen by mode."""

    mode: Mode = "projection"
    epochs: int = 0
    """at most; 0 is 30 for a projection and 4 for the whole encoder"""
    rows: int = 0
    """pairs in a batch; 0 is 64 for a projection and 16 for the whole encoder"""
    learning_rate: float = 0.0
    """peak; 0 is 1e-4 for a projection and 2e-5 for the whole encoder"""
    hard_negatives: int = 0
    """documents for each query that BM25 ranks high and that are not relevant"""
    held_out: float = 0.2
    """share of the training queries that tells when the training of a whole encoder stops"""
    patience: int = 0
    """looks without a better nDCG before it ends; 0 is 12 for a projection and 2 for the whole encoder"""
    length: int = 256
    """tokens of a document"""
    pooling: str = "mean"
    seed: int = 1337

    def chosen(self) -> BiSettings:
        """The settings with every zero decided."""
        whole = self.mode == "whole"
        return replace(
            self,
            epochs=self.epochs or (4 if whole else 30),
            rows=self.rows or (16 if whole else 64),
            learning_rate=self.learning_rate or (2e-5 if whole else 1e-4),
            patience=self.patience or (2 if whole else 12),
        )


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
    documents: int
    """in the whole collection"""


@dataclass(frozen=True)
class Split:
    """Training queries in two parts that share no relevant document."""

    train: tuple[str, ...]
    held: tuple[str, ...]


def split(collection: Collection, share: float, seed: int) -> Split:
    """Hold out about ``share`` of the training queries, whole groups that share documents together.

    Raises :class:`CannotTrain` when there are too few.
    """
    relevant = collection.qrels.get("train", {})
    if len(relevant) < FEWEST:
        raise CannotTrain(
            f"training needs at least {FEWEST} train queries with a relevant document, and there are {len(relevant)}"
        )
    groups = _groups(relevant)
    random.Random(f"{seed}/held").shuffle(groups)
    held: list[str] = []
    while len(held) < max(2, round(share * len(relevant))) and len(groups) > 1:
        held += groups.pop()
    train = [query for group in groups for query in group]
    if len(train) < 2:
        raise CannotTrain("the train queries all share their documents: none can be held out")
    return Split(tuple(sorted(train)), tuple(sorted(held)))


def folds(collection: Collection, count: int, seed: int) -> list[Split]:
    """Splits in which every training query is held out once. Raises :class:`CannotTrain` when there are too few."""
    split(collection, 0.2, seed)
    groups = _groups(collection.qrels["train"])
    random.Random(f"{seed}/folds").shuffle(groups)
    groups.sort(key=len, reverse=True)  # stable, so still shuffled within a size
    parts: list[list[str]] = [[] for _ in range(min(count, len(groups)))]
    for group in groups:
        min(parts, key=len).extend(group)
    every = {query for part in parts for query in part}
    return [Split(tuple(sorted(every - set(part))), tuple(sorted(part))) for part in parts]


def batches(
    pairs: Sequence[tuple[str, int]], relevant: Mapping[str, frozenset[int]], rows: int, seed: str
) -> list[list[tuple[str, int]]]:
    """Pairs of query and document in random order; in a batch no two queries share a relevant document.

    A pair that fits into no batch that is open waits for a later one, so every pair comes once.
    """
    waiting = list(pairs)
    random.Random(seed).shuffle(waiting)
    result = []
    while waiting:
        batch: list[tuple[str, int]] = []
        taken: set[int] = set()
        rest = []
        for query, document in waiting:
            if len(batch) < rows and taken.isdisjoint(relevant[query]):
                batch.append((query, document))
                taken |= relevant[query]
            else:
                rest.append((query, document))
        result.append(batch)
        waiting = rest
    if len(result) > 1 and len(result[-1]) == 1:  # alone it has nothing to be told from
        result.pop()
    return result


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
    collection: Collection,
    encoder: Encoder,
    frozen: Matrix,
    asked: Mapping[str, Any],
    settings: BiSettings,
    control: Control,
    *,
    bm25: Bm25 | None = None,
    keep: Callable[[BiState], None] = lambda _: None,
    kept: Kept | None = None,
    device: str = "auto",
) -> Generator[Event, None, BiState]:
    """Train on the training queries and return the state with the best nDCG@10 on the held-out ones.

    ``frozen``: unit vectors of every document; ``asked``: those of every training query. ``keep`` gets the state after
    every look at the held-out queries, the first of them before any training: where training only makes it worse, the
    frozen encoder comes back. The training of a whole encoder goes on from the epochs in ``kept``, which is cleared by
    whoever has the result in safety. Yields :class:`ContenderStep`. Raises :class:`CannotTrain`, :class:`Stopped`.
    """
    import torch

    settings = settings.chosen()
    given = _Given(collection, encoder, frozen, asked, settings, control, bm25, keep, placed(device)[0])
    if settings.mode == "projection":
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)  # matrices this small only lose by being shared out among threads
            return (yield from _cross(given, folds(collection, FOLDS, settings.seed)))
        finally:
            torch.set_num_threads(threads)
    torch.set_num_threads(physical_cores())
    work = _Work(given, split(collection, settings.held_out, settings.seed))
    return (yield from work.run(kept))


def kept_for(fingerprint: str, encoder: Encoder, settings: BiSettings) -> Kept | None:
    """Where the epochs of a whole encoder's training are kept; a projection is trained in seconds, so nowhere."""
    if settings.mode == "projection":
        return None
    return Kept(CODE, "bi-encoder", encoder.identity, asdict(settings.chosen()), fingerprint)


@dataclass(frozen=True)
class _Given:
    """What every training of one call shares."""

    collection: Collection
    encoder: Encoder
    frozen: Matrix
    asked: Mapping[str, Any]
    settings: BiSettings
    control: Control
    bm25: Bm25 | None
    keep: Callable[[BiState], None]
    device: str


def _cross(given: _Given, parts: Sequence[Split]) -> Generator[Event, None, BiState]:
    """Train with every part held out once, side by side, then on all queries for as many epochs as was best."""
    import numpy as np

    works = [_Work(given, part) for part in parts]
    lead, settings, keep = works[0], given.settings, given.keep
    best, best_epoch = (-1.0, -math.inf), 0
    for epoch in range(settings.epochs + 1):
        if epoch:
            for number, work in enumerate(works):
                for event in work.epoch(epoch - 1):
                    if number == 0 or not isinstance(event, ContenderStep):
                        yield event
        values: list[Any] = []
        losses: list[float] = []
        for work in works:
            found = yield from work.measure()
            values.append(found.ndcg)
            losses += found.losses
        ndcg = float(np.concatenate(values).mean())
        better = (ndcg, -sum(losses)) > best
        if better:
            best, best_epoch = (ndcg, -sum(losses)), epoch
        keep(lead.state(ndcg, sum(losses) / len(losses)))
        lead.best_ndcg, lead.best_step = best[0], best_epoch * lead.per_epoch
        note = f"epoch {epoch}" + (", the best so far" if better else "") if epoch else "before training"
        yield lead.word(ndcg, note)
        if epoch - best_epoch >= settings.patience:
            break
    every = tuple(sorted(lead.relevant))
    last = _Work(given, Split(every, every))
    last.similarity = lead.similarity
    last.base, last.best_ndcg, last.best_step = lead.step, best[0], lead.step
    if best_epoch:
        last.best_step = lead.step + last.per_epoch * best_epoch
    for epoch in range(best_epoch):
        for event in last.epoch(epoch):
            yield replace(event, note="on all train queries") if isinstance(event, ContenderStep) else event
    yield from last.measure()
    state = last.state(best[0], -best[1] / len(losses))
    keep(state)
    yield last.word(None, f"trained on all train queries for {best_epoch} epochs" if best_epoch else "left as it was")
    return state


@dataclass(frozen=True)
class _Measured:
    """What the held-out queries came to."""

    ndcg: Any
    """of each, nDCG@10"""
    losses: list[float]
    """of each with each relevant document, nats"""


@dataclass(frozen=True)
class _Look:
    """A look at the held-out queries: before training and after each epoch."""

    step: int
    ndcg: float
    loss: float
    """of the held-out queries"""
    trained_loss: float
    """of the epoch's batches; 0 before training"""


def _looks(state: Mapping[str, Any]) -> list[_Look]:
    return [_Look(int(step), *map(float, rest)) for step, *rest in state["looks"]]


def _best(looks: Sequence[_Look]) -> int:
    """The best of them: by nDCG, ties by loss."""
    return max(range(len(looks)), key=lambda epoch: (looks[epoch].ndcg, -looks[epoch].loss))


def _note(looks: Sequence[_Look]) -> str:
    """What is said of the last of them."""
    epoch = len(looks) - 1
    return (f"epoch {epoch}" + (", the best so far" if _best(looks) == epoch else "")) if epoch else "before training"


class _Work:
    """One training under way."""

    def __init__(self, given: _Given, parts: Split) -> None:
        import numpy as np
        import torch

        collection, settings = given.collection, given.settings
        self.collection, self.settings, self.control, self.keep = collection, settings, given.control, given.keep
        self.split = parts
        names = (*self.split.train, *self.split.held)
        self.relevant = {query: frozenset(collection.relevant("train", query)) for query in names}
        self.pairs = [(query, document) for query in self.split.train for document in sorted(self.relevant[query])]
        self.negatives = self._mined(given.bm25 or Bm25(collection)) if settings.hard_negatives else {}
        self.device = given.device
        torch.manual_seed(settings.seed)
        self.pool = self._pooled(given.frozen, np.stack([given.asked[query] for query in self.split.held]))
        self.tower: Projection | Whole
        if settings.mode == "projection":
            self.tower = Projection(given.asked, given.frozen, self.pool, self.device)
        else:
            self.tower = Whole(given.encoder, collection, settings.length, settings.pooling, self.pool, self.device)
        self.optimizer = torch.optim.AdamW(self.tower.parameters(), lr=settings.learning_rate, weight_decay=0.01)
        self.per_epoch = len(batches(self.pairs, self.relevant, settings.rows, f"{settings.seed}/0"))
        self.steps = self.per_epoch * settings.epochs
        self.step, self.base = 0, 0
        self.best_ndcg, self.best_step = -1.0, 0
        self.losses: list[float] = []
        """of the batches since the last word"""
        self.trained_loss = 0.0
        """mean of the last epoch's batches"""
        self.looks: list[_Look] = []
        self.found: Any = None
        """vectors of the pool when it was looked at last"""
        self.similarity: tuple[Any, ...] = ()
        self.begun, self.waited = time.monotonic(), 0.0

    def run(self, kept: Kept | None) -> Generator[Event, None, BiState]:
        """Train the whole encoder until the one held-out part gets no better; with what is ``kept``, from there on."""
        import torch

        best = (yield from self._resume(kept)) if kept is not None else None
        while len(self.looks) <= self.settings.epochs and not self._enough():
            epoch = len(self.looks)
            if epoch:
                torch.manual_seed(self.settings.seed * 1000 + epoch - 1)  # so that a later start drops the same
                yield from self.epoch(epoch - 1)
            yield self.word(None, f"encoding {len(self.pool):,} documents that held-out queries are ranked over")
            found = yield from self.measure()
            state = self.state(float(found.ndcg.mean()), sum(found.losses) / len(found.losses))
            self.looks.append(_Look(state.step, state.ndcg, state.loss, self.trained_loss))
            if _best(self.looks) == epoch:
                best, self.best_ndcg, self.best_step = state, state.ndcg, state.step
            self.keep(state)
            if kept is not None:
                yield from self._put(kept)
            yield self.word(state.ndcg, _note(self.looks))
        assert best is not None
        return best

    def _enough(self) -> bool:
        return bool(self.looks) and len(self.looks) - 1 - _best(self.looks) >= self.settings.patience

    def _put(self, kept: Kept) -> Iterator[Event]:
        """All that the next epoch follows from, and the vectors that the search begins with."""
        import numpy as np
        import torch
        from safetensors.torch import save

        assert isinstance(self.tower, Whole)
        held = {"pool": torch.from_numpy(np.ascontiguousarray(self.found))}
        spent = time.monotonic() - self.begun - self.waited
        state = {"looks": [astuple(look) for look in self.looks], "spent": spent}
        more, best = {_MORE: save(held)}, _best(self.looks)
        yield from kept.put(len(self.looks) - 1, self.tower.model, self.optimizer, state, best=best, more=more)

    def _resume(self, kept: Kept) -> Generator[Event, None, BiState | None]:
        """The best state so far, with everything as it was after the last epoch that ended; its words come again."""
        from safetensors.torch import load

        assert isinstance(self.tower, Whole)
        found = yield from kept.resume(self.tower.model, self.optimizer, lambda state: _best(_looks(state)))
        if found is None:
            return None
        looks = _looks(found.state)
        self.step, self.begun = looks[-1].step, time.monotonic() - float(found.state["spent"])
        yield Notice(f"training goes on after epoch {len(looks) - 1} of {self.settings.epochs}", "info", "train")
        for look in looks:
            self.looks.append(look)
            if _best(self.looks) == len(self.looks) - 1:
                self.best_ndcg, self.best_step = look.ndcg, look.step
            self.losses = [look.trained_loss] if look.step else []
            yield replace(self.word(look.ndcg, _note(self.looks)), step=look.step)
        best = looks[_best(looks)]
        vectors_of_pool = load(found.best_files[_MORE])["pool"].numpy()
        state = BiState(best.step, best.ndcg, best.loss, found.best, self.pool, vectors_of_pool, len(self.collection))
        self.keep(state)
        return state

    def epoch(self, epoch: int) -> Iterator[Event]:
        """Every pair once."""
        import torch

        told, losses = time.monotonic(), []
        settings = self.settings
        self.tower.train()
        for batch in batches(self.pairs, self.relevant, settings.rows, f"{settings.seed}/{epoch}"):
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * share(self.step, self.steps, max(1, self.steps // 10))
            extra = self._extra(batch, epoch)
            rows = [document for _, document in batch] + extra
            queries = self.tower.queries([query for query, _ in batch], self.collection)
            documents = self.tower.documents(rows)
            passed = torch.tensor(
                [
                    [place != own and row in self.relevant[query] for place, row in enumerate(rows)]
                    for own, (query, _) in enumerate(batch)
                ],
                device=self.device,
            )
            loss: Any = loss_of(queries, documents, passed)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            losses.append(float(loss.detach()))
            self.losses.append(losses[-1])
            if len(batch) >= min(SEEN, settings.rows, len(self.pairs)) or not self.similarity:  # no small rest
                with torch.no_grad():
                    seen = (queries[:SEEN] @ documents[:SEEN].T).float().cpu()
                self.similarity = tuple([round(value, 3) for value in row] for row in seen.tolist())
            if time.monotonic() - told >= TELL or self.step == 1:
                told = time.monotonic()
                yield self.word(None, f"epoch {epoch + 1}")
            before = time.monotonic()
            yield from heed(self.control, self.step)
            self.waited += time.monotonic() - before
        self.trained_loss = sum(losses) / len(losses)

    def measure(self) -> Generator[Event, None, _Measured]:
        """The held-out queries over the pool."""
        import numpy as np

        self.tower.eval()
        self.found = yield from self.tower.pool_vectors(self.control)
        asked = self.tower.held(self.split.held, self.collection)
        rows, scores = index.Exact(self.found, self.device).search(asked, retrieve_metrics.DEPTH)
        ranked = [
            retrieve_metrics.Ranked(tuple(one), tuple(two))
            for one, two in zip(np.asarray(self.pool)[rows].tolist(), scores.tolist(), strict=True)
        ]
        grades = [self.collection.relevant("train", query) for query in self.split.held]
        return _Measured(retrieve_metrics.judge(ranked, grades)[retrieve_metrics.NDCG], self._held_losses(asked))

    def state(self, ndcg: float, loss: float) -> BiState:
        """What there is now; ``measure`` has been asked before."""
        step = self.base + self.step
        return BiState(step, ndcg, loss, self.tower.tensors(), self.pool, self.found, len(self.collection))

    def _held_losses(self, asked: Any) -> list[float]:
        """How surely held-out queries find their documents: what tells two states of equal nDCG apart."""
        import numpy as np

        places = {row: place for place, row in enumerate(self.pool)}
        losses = []
        for query, vector in zip(self.split.held, asked, strict=True):
            scores = SCALE * (self.found @ vector).astype(np.float64)
            norm = float(scores.max() + np.log(np.exp(scores - scores.max()).sum()))
            losses += [norm - float(scores[places[row]]) for row in self.relevant[query]]
        return losses

    def word(self, ndcg: float | None, note: str) -> ContenderStep:
        """How far it is; the losses since the last word."""
        spent = time.monotonic() - self.begun - self.waited
        left = spent / self.step * (self.steps - self.step) if self.step else 0.0
        loss = sum(self.losses) / len(self.losses) if self.losses else 0.0
        self.losses = []
        best = self.best_ndcg if self.best_ndcg >= 0 else None
        size = len(self.pool) if ndcg is not None else 0
        return ContenderStep(
            TRAINED,
            self.base + self.step,
            self.base + self.steps,
            loss,
            None,
            ndcg,
            round(left, 1),
            note,
            best,
            self.best_step,
            self.similarity,
            size,
        )

    def _mined(self, bm25: Bm25) -> dict[str, list[int]]:
        """For every training query the documents that BM25 ranks highest and that are not relevant."""
        wanted = self.settings.hard_negatives
        found = {}
        for query in self.split.train:
            known = self.relevant[query]
            (ranked,) = bm25.rank([self.collection.queries[query]], wanted * 4 + len(known))
            found[query] = [row for row in ranked.rows if row not in known][: wanted * 4]
        return found

    def _extra(self, batch: Sequence[tuple[str, int]], epoch: int) -> list[int]:
        """Hard negatives of the batch's queries, others in every epoch."""
        rng = random.Random(f"{self.settings.seed}/{epoch}/{batch[0][0]}")
        there = {document for _, document in batch}
        extra: list[int] = []
        for query, _ in batch:
            mined = [row for row in self.negatives.get(query, ()) if row not in there]
            some = rng.sample(mined, min(self.settings.hard_negatives, len(mined)))
            there.update(some)
            extra += some
        return extra

    def _pooled(self, frozen: Matrix, held: Matrix) -> tuple[int, ...]:
        """Documents that held-out queries are ranked over: all, or of too many the relevant, near and random ones."""
        most, total = POOLS[self.settings.mode], len(self.collection)
        if total <= most:
            return tuple(range(total))
        rows = {row for query in self.split.held for row in self.relevant[query]}
        near, _ = index.Exact(frozen, self.device).search(held, 100)
        for rank in range(near.shape[1]):
            rows |= {int(row) for row in near[:, rank][: max(0, most * 3 // 4 - len(rows))]}
        rest = [row for row in range(total) if row not in rows]
        random.Random(f"{self.settings.seed}/pool").shuffle(rest)
        return tuple(sorted(rows | set(rest[: max(0, most - len(rows))])))


def _groups(relevant: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Queries that share a document, directly or through others, together; in a fixed order."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for query, documents in relevant.items():
        for document in documents:
            leader[find(f"d{document}")] = find(f"q{query}")
    groups: dict[str, list[str]] = {}
    for query in sorted(relevant):
        groups.setdefault(find(f"q{query}"), []).append(query)
    return [groups[name] for name in sorted(groups, key=lambda name: groups[name][0])]
