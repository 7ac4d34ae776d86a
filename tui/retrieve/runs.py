"""What the Retrieve pane asks of the engine."""

from __future__ import annotations

from collections.abc import Mapping
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


class Gains(list[Gain]):
    """Every judged query."""

    unreadable: Mapping[str, str]
    """why the rankings of a method cannot be read"""


class Retrievals(TaskRuns):
    """Runs that build and judge rankers."""

    task, runs, figure = "retrieve", "engine.retrieve.runs", "ndcg@10"
    exported = ("the bi-encoder", "As a folder that SentenceTransformer loads: its encode gives the same vectors.")
    nothing = "This run has trained no bi-encoder: tick trained in the form and run it."

    def gains(self, run: Run, texts: Mapping[str, str]) -> Gains:
        """Every judged query with its nDCG@10 by ranker. Raises :class:`checkpoints.store.CheckpointError`."""
        from engine.retrieve import results as retrieve_results
        from engine.retrieve.metrics import NDCG

        found = retrieve_results.read(run)
        made = Gains(
            Gain(
                name,
                texts.get(name, name),
                {method: float(one.values[NDCG][row]) for method, one in found.judged.items()},
            )
            for row, name in enumerate(found.queries)
        )
        made.unreadable = found.unreadable
        return made

    def write_rankings(self, run: Run, file: Path) -> str:
        """TREC run files. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`."""
        from engine.retrieve.export import write_trec

        if file.is_dir():
            raise CheckpointError(f"{file} is a folder: name a file")
        return f"rankings written to {', '.join(map(str, write_trec(run, file)))}"
