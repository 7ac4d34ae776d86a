"""A ranking of choices in its run directory: written method by method, read back for showing and for ranking anew.

``items.jsonl`` the judged questions · ``results.json`` figures of every method · ``scores/`` what each gave to every
choice · ``rankers/`` weights of the scorers · ``finetuned/`` encoder and head · ``choices.json`` encoder, pooling,
language model. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, store
from checkpoints.run import Run
from data.choices import Item
from engine.comparison.results import UNREADABLE, Results
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.choices import ChoiceData
    from engine.choose.scorer import GroupedHead
    from engine.choose.spec import ChooseSpec
    from engine.runs.events import ContenderStep

FORMAT = 1
_WITHOUT_ENCODER = ("chance", "longest", "zero-shot")


class ChoiceStore(Results):
    """Writes the results of a ranking of choices."""

    ABOUT = "choices.json"
    SAME = ("format", "fingerprint", "pooling", "length", "model", "uninformative")

    def __init__(self, run: Run, spec: ChooseSpec, data: ChoiceData, writes: PendingWrites) -> None:
        """Figures of an earlier start on the same data stay until there are new ones.

        Raises :class:`OSError` when those cannot be read.
        """
        super().__init__(
            run,
            writes,
            {
                "format": FORMAT,
                "fingerprint": data.fingerprint,
                "pooling": spec.pooling,
                "length": spec.length,
                "model": spec.model,
                "uninformative": spec.uninformative,
                "encoder": None,
                "rankers": {},
            },
        )
        self._items = len(data.judged)
        self._earlier: dict[str, Any] = {}
        results = run.read_json("results.json")
        if (about := self._earlier_about()) is not None:
            self._earlier = {method: one for method, one in results.items() if isinstance(one, dict)}
            if isinstance(about.get("rankers"), dict):
                self._about["rankers"] = about["rankers"]
        lines = [json.dumps(asdict(item), ensure_ascii=False) for item in data.judged]
        writes.file(run.path / "items.jsonl", ("\n".join(lines) + "\n").encode("utf-8", "replace"))
        self._describe()

    def earlier(self, name: str, key: list[Any] | None) -> Earlier | None:
        """The fine-tuning that ``key`` decides, of an earlier start; the other methods are cheap and done again."""
        if key is None:
            return None
        try:
            steps, result = self._steps_of_tuned(key), dict(self._earlier[name])
            scores = arrays.read(self._run.path / "scores" / f"{name}.safetensors")["scores"]
        except UNREADABLE:
            return None
        return Earlier(result, scores, steps) if len(scores) == self._items else None

    def _drop_encoded(self) -> None:
        self._earlier = {name: one for name, one in self._earlier.items() if name in _WITHOUT_ENCODER}
        self._about["rankers"] = {}

    def scores(self, method: str, found: NDArray[np.float64]) -> None:
        """Scores of the judged items."""
        self.writes.file(self._run.path / "scores" / f"{method}.safetensors", arrays.encode({"scores": found}))

    def ranker(self, method: str, ranker: GroupedHead) -> None:
        """A scorer on frozen features."""
        from engine.choose.scorer import arrays as arrays_of

        self.writes.file(self._run.path / "rankers" / f"{method}.safetensors", arrays.encode(arrays_of(ranker)))
        self._about["rankers"][method] = {"loss": ranker.loss, "parameters": ranker.parameters}
        self._describe()

    def results(self, results: dict[str, dict[str, Any]]) -> None:
        """Figures of every method so far, and of those whose turn comes again the earlier ones."""
        about = self._run.path / self.ABOUT  # says what the figures are of
        self.writes.json(self._run.path / "results.json", {**self._earlier, **results}, after=(about,))


@dataclass(frozen=True)
class Earlier:
    """The fine-tuning of an earlier start of the run."""

    result: dict[str, Any]
    scores: NDArray[np.float64]
    """of the judged items"""
    steps: tuple[ContenderStep, ...]


@dataclass(frozen=True)
class ChooseResults:
    """What a run holds beside its journal."""

    items: tuple[Item, ...]
    about: dict[str, Any]
    results: dict[str, dict[str, Any]]


def read(run: Run) -> ChooseResults:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no ranking."""
    try:
        about = run.read_json("choices.json")
        lines = store.read_file(run.path / "items.jsonl").split(b"\n")
        items = []
        for row in (store.decode(line) for line in lines if line):
            items.append(Item(**{**row, "choices": tuple(map(str, row["choices"]))}))
        return ChooseResults(tuple(items), about, run.read_json("results.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.CheckpointError(f"{run.name} holds no ranked questions that can be read ({error})") from None


def read_ranker(run: Run, method: str, loss: str) -> GroupedHead:
    """A scorer of the run. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine.choose.scorer import LOSSES, ranker_from

    try:
        if loss not in LOSSES:
            raise ValueError(f"no loss {loss!r}")
        return ranker_from(arrays.read(run.path / "rankers" / f"{method}.safetensors"), loss)
    except (OSError, ValueError, KeyError) as error:
        raise store.CheckpointError(f"the ranker {method} of {run.name} cannot be read ({error})") from None
