"""What the Retrieve pane asks of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from tui.follow.task_runs import TaskRuns


@dataclass(frozen=True)
class Gain:
    """One judged query: its measure by every ranker."""

    name: str
    text: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Between:
    """Queries from the largest gain of one method on another to the largest loss."""

    queries: Sequence[Gain]
    gaps: Sequence[float]
    better: int
    worse: int


class Gains(list[Gain]):
    """Every judged query; ``unreadable`` says why the rankings of a method cannot be read."""

    def __init__(self, queries: Iterable[Gain] = (), unreadable: Mapping[str, str] | None = None) -> None:
        super().__init__(queries)
        self.unreadable = unreadable or {}
        self._known: dict[tuple[str, str], Between] = {}

    def between(self, first: str, second: str) -> Between:
        """Those that both have ranked; sorted when first asked for."""
        if (first, second) not in self._known:
            both = [one for one in self if first in one.values and second in one.values]
            both.sort(key=lambda one: (one.values[second] - one.values[first], one.name))
            gaps = [one.values[first] - one.values[second] for one in both]
            better, worse = sum(gap > 1e-9 for gap in gaps), sum(gap < -1e-9 for gap in gaps)
            self._known[first, second] = Between(both, gaps, better, worse)
        return self._known[first, second]


class Retrievals(TaskRuns):
    """Runs that build and judge rankers."""

    task, runs, figure = "retrieve", "engine.retrieve.runs", "ndcg@10"
    exported = ("the bi-encoder", "A folder for SentenceTransformer; encode gives the same vectors.")
    nothing = "This run has trained no bi-encoder: tick trained in the form and run again."

    def gains(self, run: Run, texts: Mapping[str, str]) -> Gains:
        """Every judged query with its nDCG@10 by ranker. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.retrieve import results as retrieve_results
        from engine.retrieve.metrics import NDCG

        found = retrieve_results.read(run)
        queries = (
            Gain(
                name,
                texts.get(name, name),
                {method: float(one.values[NDCG][row]) for method, one in found.judged.items()},
            )
            for row, name in enumerate(found.queries)
        )
        return Gains(queries, found.unreadable)

    def write_rankings(self, run: Run, file: Path) -> str:
        """TREC run files. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`."""
        from engine.retrieve.export import write_trec

        if file.is_dir():
            raise CheckpointError(f"{file} is a folder: enter a file name")
        return f"rankings written to {', '.join(map(str, write_trec(run, file)))}"
