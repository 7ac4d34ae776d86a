"""A retrieval in its run directory: rankings, figures and the trained bi-encoder, written as they come, read back.

``results.json`` the figures of every ranker · ``comparisons.json`` their differences, ``first-second`` to measure to
mean, low, high, better, worse, p and n · ``collection.json`` queries and documents judged, by id · ``rankings/`` for
each query the first hundred rows, their scores and every measure · ``checkpoints/`` the bi-encoder after each look at
the held-out queries · ``trained.json`` which of them is the best, when training has ended. Safetensors and JSON, no
pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, store
from checkpoints.run import Run
from data.beir import Collection
from engine.comparison.results import reading
from engine.comparison.statistics import PairedTest
from engine.retrieve.metrics import DEPTH, MEASURES, Ranked
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    from engine.encoders.find import Encoder
    from engine.retrieve.bi_encoder import BiState
    from engine.retrieve.metrics import Values

PROJECTION, WHOLE, POOL = "projection.safetensors", "model.safetensors", "pool.safetensors"
"""files of a checkpoint"""


@dataclass(frozen=True)
class Judged:
    """A ranker's rankings of the judged queries, and every measure of each."""

    rankings: Sequence[Ranked]
    values: Mapping[str, Values]


@dataclass(frozen=True)
class RetrieveResults:
    """What a run has come to so far."""

    split: str
    queries: tuple[str, ...]
    """ids of the judged queries"""
    fingerprint: str
    """of the collection"""
    results: Mapping[str, Mapping[str, Any]]
    judged: Mapping[str, Judged]
    unreadable: Mapping[str, str]
    """why the rankings of a method cannot be read"""


@dataclass(frozen=True)
class Checkpoint:
    """A trained bi-encoder on the disk."""

    step: int
    ndcg: float
    path: Path
    whole: bool
    """whether it is an encoder, and no projection"""
    final: bool


class Store:
    """Writes what comes of a retrieval, each file atomically, through ``writes``."""

    def __init__(
        self, run: Run, collection: Collection, split: str, queries: Sequence[str], writes: PendingWrites
    ) -> None:
        """Figures of an earlier start on the same collection stay until there are new ones.

        Raises :class:`OSError` when those cannot be read.
        """
        self._run, self.writes = run, writes
        self._best = (-1.0, 0.0, 0)
        """nDCG, negative loss and step of the best checkpoint"""
        about = {
            "data": collection.name,
            "source": collection.source,
            "fingerprint": collection.fingerprint,
            "documents": len(collection),
            "split": split,
            "queries": list(queries),
            "checks": list(collection.checks),
            "repairs": list(collection.repairs),
        }
        earlier, names = run.read_json("collection.json"), ("fingerprint", "split", "queries")
        same = all(earlier.get(name) == about[name] for name in names)
        results = run.read_json("results.json") if same else {}
        self._results: dict[str, Any] = {method: one for method, one in results.items() if isinstance(one, dict)}
        compared = run.read_json("comparisons.json") if same else {}
        self._comparisons: dict[str, Any] = {pair: one for pair, one in compared.items() if isinstance(one, dict)}
        self.writes.json(run.path / "collection.json", about)

    @property
    def folder(self) -> Path:
        """Of the checkpoints."""
        return self._run.checkpoints

    def encoder(self, encoder: Encoder, pooling: str, length: int) -> None:
        """Which encoder is used."""
        about: dict[str, Any] = {"name": encoder.name, "source": encoder.source, "identity": encoder.identity}
        about |= {"pooling": pooling, "length": length}
        earlier = self._run.read_json("encoder.json")
        if any(earlier.get(name) != about[name] for name in ("identity", "pooling", "length")):
            self._results = {name: one for name, one in self._results.items() if name == "bm25"}
            self._comparisons = {}  # each has one that stands on another encoder
        self.writes.json(self._run.path / "encoder.json", about)

    def ranker(
        self,
        method: str,
        judged: Judged,
        result: Mapping[str, Any],
        against: Mapping[str, Mapping[str, PairedTest]],
    ) -> None:
        """A judged ranker and its differences to those before it."""
        import numpy as np

        rows = np.full((len(judged.rankings), DEPTH), -1, np.int64)
        scores = np.zeros((len(judged.rankings), DEPTH), np.float32)
        for place, ranked in enumerate(judged.rankings):
            count = min(DEPTH, len(ranked.rows))
            rows[place, :count], scores[place, :count] = ranked.rows[:count], ranked.scores[:count]
        content = arrays.encode({"rows": rows, "scores": scores, **judged.values})
        self.writes.file(self._run.path / "rankings" / f"{method}.safetensors", content)
        self._results[method] = dict(result)
        for other, found in against.items():
            self._comparisons[f"{method}-{other}"] = {name: asdict(one) for name, one in found.items()}
        about = [self._run.path / name for name in ("collection.json", "encoder.json")]  # say what the figures are of
        self.writes.json(self._run.path / "comparisons.json", self._comparisons, after=about)
        self.writes.json(self._run.path / "results.json", self._results, after=about)

    def checkpoint(self, state: BiState) -> None:
        """Put a state of the bi-encoder on the disk; of the older ones the best is kept, ties by loss."""
        import numpy as np
        from safetensors.torch import save

        if "weight" in state.tensors:
            files = {PROJECTION: arrays.encode({"weight": state.tensors["weight"].numpy()})}
        else:  # with it what a search can use before all documents are encoded anew
            pool = {"rows": np.array(state.pool, np.int64), "vectors": state.pool_vectors}
            whole = save({key: part.contiguous() for key, part in state.tensors.items()})
            files = {WHOLE: whole, POOL: arrays.encode(pool)}
        about = {"step": state.step, "ndcg": state.ndcg}
        self._best = max(self._best, (state.ndcg, -state.loss, state.step), key=lambda one: one[:2])
        best = self._best[2]

        def write() -> None:
            store.commit(self.folder, state.step, files, about)
            store.prune(self.folder, newest=state.step, keep_last=1, keep=frozenset({best}))

        # The best and the last wait apart: a later one never takes the place of the best.
        self.writes.put(f"{'best' if state.step == best else 'last'} checkpoint", write)

    def trained(self, state: BiState) -> None:
        """Training has ended; this is what it came to."""
        self.writes.json(self._run.path / "trained.json", {"step": state.step, "ndcg": state.ndcg})


def read(run: Run) -> RetrieveResults:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no retrieval."""
    judged, unreadable = {}, {}
    with reading(f"{run.name} holds no retrieval that can be read"):
        about = run.read_json("collection.json")
        results, queries = run.read_json("results.json"), tuple(map(str, about["queries"]))
        for method in results:
            try:
                judged[method] = _judged(run.path / "rankings" / f"{method}.safetensors", len(queries))
            except (OSError, ValueError, KeyError) as error:
                unreadable[method] = str(error)
        split, fingerprint = str(about["split"]), str(about["fingerprint"])
        return RetrieveResults(split, queries, fingerprint, results, judged, unreadable)


def checkpoint(run: Run) -> Checkpoint | None:
    """The bi-encoder of a run: the best when training has ended, until then the newest; None when there is none."""
    best = run.read_json("trained.json").get("step")
    there = store.checkpoints(run.checkpoints)
    chosen = [path for path in there if store.step_of(path) == best] or there
    for path in sorted(chosen, key=store.step_of, reverse=True):
        try:
            state = store.read_state(path)
            step, ndcg = int(state["step"]), float(state["ndcg"])
        except (store.CheckpointError, KeyError, TypeError, ValueError):
            continue
        final = best is not None and store.step_of(path) == best
        return Checkpoint(step, ndcg, path, (path / WHOLE).is_file(), final)
    return None


def _judged(file: Path, queries: int) -> Judged:
    found = arrays.read(file)
    if any(len(array) != queries for array in found.values()):
        raise ValueError(f"{file.name} holds rankings of other queries")
    rankings = []
    for rows, scores in zip(found["rows"].tolist(), found["scores"].tolist(), strict=True):
        count = rows.index(-1) if -1 in rows else len(rows)
        rankings.append(Ranked(tuple(rows[:count]), tuple(scores[:count])))
    return Judged(tuple(rankings), {name: found[name] for name in MEASURES})
