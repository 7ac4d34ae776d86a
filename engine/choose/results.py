"""A ranking of choices in its run directory: written method by method, read back for showing and for ranking anew.

``items.jsonl`` the judged questions · ``results.json`` figures of every method · ``scores/`` what each gave to every
choice · ``rankers/`` weights of the scorers · ``finetuned/`` encoder and head · ``choices.json`` encoder, pooling,
language model. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, store
from checkpoints.run import Run
from data.choices import Item
from engine.encoders.epochs import ROUTE as FINETUNE
from engine.encoders.recorded_steps import rows_of, steps_from
from engine.model_folder import present
from engine.runs.writes import Writes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.choices import ChoiceData
    from engine.choose.fine_tune import TunedRanker
    from engine.choose.scorer import Ranker
    from engine.choose.spec import ChooseSpec
    from engine.encoders.find import Encoder
    from engine.runs.events import ContenderStep

FORMAT = 1
TUNED = "finetuned"
_WITHOUT_ENCODER = ("chance", "longest", "zero-shot")


class ChoiceStore:
    """Writes what comes of a ranking, each file atomically, through ``writes``."""

    def __init__(self, run: Run, spec: ChooseSpec, data: ChoiceData, writes: Writes) -> None:
        """Figures of an earlier start on the same data stay until there are new ones.

        Raises :class:`OSError` when those cannot be read.
        """
        self._run, self.writes = run, writes
        self._earlier: dict[str, Any] = {}
        self._about: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": data.fingerprint,
            "pooling": spec.pooling,
            "length": spec.length,
            "model": spec.model,
            "uninformative": spec.uninformative,
            "encoder": None,
            "rankers": {},
            "tuned": None,
        }
        self._find_earlier()
        lines = [json.dumps(asdict(item), ensure_ascii=False) for item in data.judged]
        writes.file(run.path / "items.jsonl", ("\n".join(lines) + "\n").encode("utf-8", "replace"))
        self._describe()

    def encoder(self, encoder: Encoder) -> None:
        """What the rankers stand on."""
        known = self._about["encoder"] or {}
        if known.get("identity") != encoder.identity:  # what stands on another is worth nothing
            self._earlier = {name: one for name, one in self._earlier.items() if name in _WITHOUT_ENCODER}
            self._about["rankers"], self._about["tuned"] = {}, None
        self._about["encoder"] = {"name": encoder.name, "source": encoder.source, "identity": encoder.identity}
        self._describe()

    def scores(self, method: str, found: NDArray[np.float64]) -> None:
        """Scores of the judged items."""
        self.writes.file(self._run.path / "scores" / f"{method}.safetensors", arrays.encode({"scores": found}))

    def ranker(self, method: str, ranker: Ranker) -> None:
        """A scorer on frozen features."""
        from engine.choose.scorer import arrays as arrays_of

        self.writes.file(self._run.path / "rankers" / f"{method}.safetensors", arrays.encode(arrays_of(ranker)))
        self._about["rankers"][method] = {"loss": ranker.loss, "parameters": ranker.parameters}
        self._describe()

    def tuned(self, tuned: TunedRanker) -> None:
        """A fine-tuned encoder under its head, which is taken over by nobody before :meth:`settled`."""
        from engine.choose.fine_tune import save

        self._about["tuned"] = None
        self._describe()
        self.writes.put(TUNED, partial(save, tuned, self._run.path / TUNED))

    def settled(self, made: list[Any], result: dict[str, Any], steps: Sequence[ContenderStep]) -> None:
        """Model, scores and figures of the fine-tuning that ``made`` decides are on the disk."""

        def describe() -> None:
            files = store.digests(self._run.path / TUNED)
            self._about["tuned"] = {"made": made, "files": files, "result": result, "steps": rows_of(steps)}
            self._run.write_json("choices.json", store.with_checksum(self._about))

        self.writes.put("choices.json of the fine-tuned model", describe, after=None)

    def again(self, made: list[Any], items: int) -> Earlier | None:
        """The fine-tuning that ``made`` decides, of an earlier start of the run; None where it is not whole."""
        told = self._about["tuned"]
        try:
            files = store.digests(present(self._run.path / TUNED))
            if told is None or told["made"] != made or not files or told["files"] != files:
                return None
            scores = arrays.read(self._run.path / "scores" / f"{FINETUNE}.safetensors")["scores"]
            return Earlier(dict(told["result"]), scores, steps_from(told["steps"])) if len(scores) == items else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def results(self, results: dict[str, dict[str, Any]]) -> None:
        """Figures of every method so far, and of those whose turn comes again the earlier ones."""
        about = self._run.path / "choices.json"  # says what the figures are of
        self.writes.json(self._run.path / "results.json", {**self._earlier, **results}, after=(about,))

    def _find_earlier(self) -> None:
        """Take over what an earlier start on the same data has come to."""
        about, results = self._run.read_json("choices.json"), self._run.read_json("results.json")
        names = ("format", "fingerprint", "pooling", "length", "model", "uninformative")
        if any(about.get(name) != self._about[name] for name in names):
            return
        self._earlier = {method: one for method, one in results.items() if isinstance(one, dict)}
        for name in ("encoder", "rankers", "tuned"):
            if isinstance(about.get(name), dict):
                self._about[name] = about[name]

    def _describe(self) -> None:
        self.writes.json(self._run.path / "choices.json", store.with_checksum(self._about))


@dataclass(frozen=True)
class Earlier:
    """The fine-tuning of an earlier start of the run."""

    result: dict[str, Any]
    scores: NDArray[np.float64]
    """of the judged items"""
    steps: tuple[ContenderStep, ...]


@dataclass(frozen=True)
class Kept:
    """What a run holds beside its journal."""

    items: tuple[Item, ...]
    about: dict[str, Any]
    results: dict[str, dict[str, Any]]


def read(run: Run) -> Kept:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no ranking."""
    try:
        about = run.read_json("choices.json")
        lines = store.read_file(run.path / "items.jsonl").split(b"\n")
        items = []
        for row in (store.decode(line) for line in lines if line):
            items.append(Item(**{**row, "choices": tuple(map(str, row["choices"]))}))
        return Kept(tuple(items), about, run.read_json("results.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.CheckpointError(f"{run.name} holds no ranked questions that can be read ({error})") from None


def read_ranker(run: Run, method: str, loss: str) -> Ranker:
    """A scorer of the run. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine.choose.scorer import LOSSES, ranker_from

    try:
        if loss not in LOSSES:
            raise ValueError(f"no loss {loss!r}")
        return ranker_from(arrays.read(run.path / "rankers" / f"{method}.safetensors"), loss)
    except (OSError, ValueError, KeyError) as error:
        raise store.CheckpointError(f"the ranker {method} of {run.name} cannot be read ({error})") from None
