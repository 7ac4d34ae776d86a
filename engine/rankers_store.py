"""A retrieval in its run directory: rankings, figures and the trained bi-encoder, written as they come, read back.

``results.json`` the figures of every ranker · ``comparisons.json`` their differences with intervals ·
``collection.json`` queries and documents judged, by id · ``rankings/`` for each query the first hundred rows, their
scores and every measure · ``checkpoints/`` the bi-encoder after each look at the held-out queries · ``trained.json``
which of them is the best, when training has ended. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import store
from checkpoints.run import Run
from data.beir import Collection
from engine.ranking import DEPTH, MEASURES, Difference, Ranked

if TYPE_CHECKING:
    from engine.biencoder import BiState
    from engine.encoders import Encoder
    from engine.ranking import Values

PROJECTION, WHOLE, POOL = "projection.safetensors", "model.safetensors", "pool.safetensors"
"""files of a checkpoint"""


@dataclass(frozen=True)
class Judged:
    """A ranker's rankings of the judged queries, and every measure of each."""

    rankings: tuple[Ranked, ...]
    values: Mapping[str, Values]


@dataclass(frozen=True)
class Findings:
    """What a run has come to so far."""

    split: str
    queries: tuple[str, ...]
    """ids of the judged queries"""
    fingerprint: str
    """of the collection"""
    results: Mapping[str, Mapping[str, Any]]
    comparisons: Mapping[str, Mapping[str, Any]]
    """``first-second`` to measure to mean, low, high, better, worse"""
    judged: Mapping[str, Judged]


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
    """Writes what comes of a retrieval, each file atomically. Raises :class:`OSError`."""

    def __init__(self, run: Run, collection: Collection, split: str, queries: Sequence[str]) -> None:
        self._run = run
        self._results: dict[str, Any] = {}
        self._comparisons: dict[str, Any] = {}
        (run.path / "rankings").mkdir(exist_ok=True)
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
        run.write_json("collection.json", about)

    @property
    def folder(self) -> Path:
        """Of the checkpoints."""
        return self._run.checkpoints

    def encoder(self, encoder: Encoder, pooling: str, length: int) -> None:
        """Which encoder is used."""
        about = {"name": encoder.name, "source": encoder.source, "identity": encoder.identity, "pooling": pooling}
        self._run.write_json("encoder.json", {**about, "length": length})

    def ranker(
        self,
        method: str,
        rankings: Sequence[Ranked],
        values: Mapping[str, Values],
        result: Mapping[str, Any],
        against: Mapping[str, Mapping[str, Difference]],
    ) -> None:
        """A judged ranker and its differences to those before it."""
        import numpy as np
        from safetensors.numpy import save

        rows = np.full((len(rankings), DEPTH), -1, np.int64)
        scores = np.zeros((len(rankings), DEPTH), np.float32)
        for place, ranked in enumerate(rankings):
            count = min(DEPTH, len(ranked.rows))
            rows[place, :count], scores[place, :count] = ranked.rows[:count], ranked.scores[:count]
        content = save({"rows": rows, "scores": scores, **{name: values[name] for name in MEASURES}})
        store.replace_file(self._run.path / "rankings" / f"{method}.safetensors", content)
        self._results[method] = dict(result)
        for other, found in against.items():
            self._comparisons[f"{method}-{other}"] = {name: asdict(one) for name, one in found.items()}
        self._run.write_json("comparisons.json", self._comparisons)
        self._run.write_json("results.json", self._results)

    def checkpoint(self, state: BiState, best: int) -> Path:
        """Put a state of the bi-encoder on the disk; of the older ones the best is kept."""
        import numpy as np
        from safetensors.numpy import save as save_arrays
        from safetensors.torch import save

        name = PROJECTION if "weight" in state.tensors else WHOLE
        content = save({key: part.contiguous() for key, part in state.tensors.items()})
        files = {name: content}
        if name == WHOLE:  # what a search can use before all documents are encoded anew
            pool = {"rows": np.array(state.pool, np.int64), "vectors": np.ascontiguousarray(state.pool_vectors)}
            files[POOL] = save_arrays(pool)
        about = {"step": state.step, "ndcg": state.ndcg, "documents": state.documents}
        path = store.commit(self.folder, state.step, files, about)
        store.prune(self.folder, newest=state.step, keep_last=1, keep=frozenset({best}))
        return path

    def trained(self, state: BiState) -> None:
        """Training has ended; this is what it came to."""
        self._run.write_json("trained.json", {"step": state.step, "ndcg": state.ndcg})


def read(run: Run) -> Findings:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no retrieval."""
    about = run.read_json("collection.json")
    results = run.read_json("results.json")
    judged = {}
    try:
        for method in results:
            judged[str(method)] = _judged(run.path / "rankings" / f"{method}.safetensors")
        return Findings(
            str(about["split"]),
            tuple(map(str, about["queries"])),
            str(about["fingerprint"]),
            results,
            run.read_json("comparisons.json"),
            judged,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.CheckpointError(f"{run.name} holds no retrieval that can be read ({error})") from None


def checkpoint(run: Run) -> Checkpoint | None:
    """The bi-encoder of a run: the best when training has ended, until then the newest; None when there is none."""
    best = run.read_json("trained.json").get("step")
    there = store.checkpoints(run.checkpoints)
    chosen = [path for path in there if store.step_of(path) == best] or there
    for path in sorted(chosen, key=store.step_of, reverse=True):
        try:
            state = store.read_state(path)
        except store.CheckpointError:
            continue
        whole = (path / WHOLE).is_file()
        final = best is not None and store.step_of(path) == best
        return Checkpoint(int(state["step"]), float(state["ndcg"]), path, whole, final)
    return None


def load_arrays(file: Path) -> dict[str, Any]:
    """Arrays of a safetensors file. Raises :class:`OSError` and :class:`ValueError`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(file.read_bytes()))
    except SafetensorError as error:
        raise ValueError(f"{file.name} is damaged ({error})") from None


def _judged(file: Path) -> Judged:
    arrays = load_arrays(file)
    rankings = []
    for rows, scores in zip(arrays["rows"].tolist(), arrays["scores"].tolist(), strict=True):
        count = rows.index(-1) if -1 in rows else len(rows)
        rankings.append(Ranked(tuple(rows[:count]), tuple(scores[:count])))
    return Judged(tuple(rankings), {name: arrays[name] for name in MEASURES})
