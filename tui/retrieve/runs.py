"""What the Retrieve pane asks of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
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

    queries: Sequence[Gain] = ()
    gaps: Sequence[float] = ()
    better: int = 0
    worse: int = 0


class Gains(list[Gain]):
    """Every judged query, by name; ``unreadable`` says why the rankings of a method cannot be read.

    Making it sorts the queries for every two methods: not for the thread of a screen.
    """

    def __init__(self, queries: Iterable[Gain] = (), unreadable: Mapping[str, str] | None = None) -> None:
        super().__init__(sorted(queries, key=lambda one: one.name))
        self.unreadable = unreadable or {}
        methods = dict.fromkeys(method for one in self for method in one.values)
        self._known = {pair: self._sorted(*pair) for pair in permutations(methods, 2)}

    def between(self, first: str, second: str) -> Between:
        """Those that both have ranked."""
        return self._known.get((first, second), Between())

    def _sorted(self, first: str, second: str) -> Between:
        both = [(one.values[first] - one.values[second], one) for one in self if {first, second} <= one.values.keys()]
        both.sort(key=lambda each: each[0], reverse=True)  # of equals the first by name comes first
        gaps = [gap for gap, _ in both]
        better, worse = sum(gap > 1e-9 for gap in gaps), sum(gap < -1e-9 for gap in gaps)
        return Between([one for _, one in both], gaps, better, worse)


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
