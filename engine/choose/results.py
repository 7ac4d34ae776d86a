"""A ranking of choices in its run directory: written method by method, read back for showing and for ranking anew.

``items.jsonl`` the judged questions · ``results.json`` figures of every method · ``scores/`` what each gave to every
choice · ``rankers/`` weights of the scorers · ``finetuned/`` encoder and head · ``choices.json`` encoder, pooling,
language model. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import arrays
from checkpoints.run import Run
from data.choices import Item
from engine.comparison.results import UNREADABLE, Earlier, Results, json_lines, reading
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    from data.choices import ChoiceData
    from engine.choose.scorer import GroupedHead
    from engine.choose.spec import ChooseSpec

_WITHOUT_ENCODER = ("chance", "longest", "zero-shot")


class ChoiceStore(Results):
    """Writes the results of a ranking of choices."""

    ABOUT = "choices.json"
    SAME = ("format", "fingerprint", "pooling", "length", "model", "uninformative")
    OUTPUTS = ("scores", "scores")
    ITEMS = "items.jsonl"

    def __init__(self, run: Run, spec: ChooseSpec, data: ChoiceData, writes: PendingWrites) -> None:
        """Figures of an earlier start on the same data stay until there are new ones.

        Raises :class:`OSError` when those cannot be read.
        """
        super().__init__(
            run,
            writes,
            {
                "fingerprint": data.fingerprint,
                "pooling": spec.pooling,
                "length": spec.length,
                "model": spec.model,
                "uninformative": spec.uninformative,
                "rankers": {},
            },
        )
        self._judged = data.judged
        self._earlier: dict[str, Any] = {}
        results = run.read_json("results.json")
        if (about := self._earlier_about()) is not None:
            self._earlier = {method: one for method, one in results.items() if isinstance(one, dict)}
            if isinstance(about.get("rankers"), dict):
                self._about["rankers"] = about["rankers"]
        self.items(map(asdict, data.judged))
        self._describe()

    def earlier(self, name: str, key: list[Any] | None) -> Earlier | None:
        """The fine-tuning that ``key`` decides, of an earlier start; the other methods are cheap and done again."""
        if key is None:
            return None
        try:
            scores = self.outputs_of(self._run, name, len(self._judged))
            return Earlier(dict(self._earlier[name]), scores, self._steps_of_tuned(key))
        except UNREADABLE:
            return None

    def _drop_encoded(self) -> None:
        self._earlier = {name: one for name, one in self._earlier.items() if name in _WITHOUT_ENCODER}
        self._about["rankers"] = {}

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
class ChooseResults:
    """What a run holds beside its journal."""

    items: tuple[Item, ...]
    about: dict[str, Any]
    results: dict[str, dict[str, Any]]


def read(run: Run) -> ChooseResults:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no ranking."""
    with reading(f"{run.name} holds no ranked questions that can be read"):
        rows = json_lines(run.path / ChoiceStore.ITEMS)
        items = tuple(Item(**{**row, "choices": tuple(map(str, row["choices"]))}) for row in rows)
        return ChooseResults(items, run.read_json(ChoiceStore.ABOUT), run.read_json("results.json"))


def read_ranker(run: Run, method: str, loss: str) -> GroupedHead:
    """A scorer of the run. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine.choose.scorer import LOSSES, ranker_from

    with reading(f"the ranker {method} of {run.name} cannot be read"):
        if loss not in LOSSES:
            raise ValueError(f"no loss {loss!r}")
        return ranker_from(arrays.read(run.path / "rankers" / f"{method}.safetensors"), loss)
