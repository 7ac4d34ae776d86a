"""A ranking of choices in its run directory: written method by method, read back for showing and for ranking anew.

``items.jsonl`` the judged questions · ``results.json`` figures of every method · ``scores/`` what each gave to every
choice · ``rankers/`` weights of the scorers · ``finetuned/`` encoder and head · ``choices.json`` encoder, pooling,
language model. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import store
from checkpoints.run import Run
from data.choices import Item
from engine import outcome
from engine.epochs import ROUTE as FINETUNE
from engine.modelfolder import present, sizes
from engine.retold import rows_of, steps_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.choices import ChoiceData
    from engine.encoders import Encoder
    from engine.events import RouteStep
    from engine.ranker import Ranker
    from engine.task_specs import ChooseSpec
    from engine.tunerank import TunedRanker

FORMAT = 1
TUNED = "finetuned"


class ChoiceStore:
    """Writes what comes of a ranking, each file atomically. Raises :class:`OSError`."""

    def __init__(self, run: Run, spec: ChooseSpec, data: ChoiceData) -> None:
        self._run = run
        self._about: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": data.fingerprint,
            "pooling": spec.pooling,
            "length": spec.length,
            "model": spec.model,
            "uninformative": spec.uninformative,
            "encoder": None,
            "rankers": {},
            "tuned": self._found(data.fingerprint),
        }
        for folder in ("rankers", "scores"):
            (run.path / folder).mkdir(exist_ok=True)
        lines = [json.dumps(asdict(item), ensure_ascii=False) for item in data.judged]
        store.replace_file(run.path / "items.jsonl", ("\n".join(lines) + "\n").encode("utf-8", "replace"))
        self._describe()

    def encoder(self, encoder: Encoder) -> None:
        """What the rankers stand on."""
        self._about["encoder"] = {"name": encoder.name, "source": encoder.source, "identity": encoder.identity}
        if (earlier := self._about["tuned"]) is not None and encoder.identity not in earlier["made"]:
            self._about["tuned"] = None  # what stands on another encoder is worth nothing
        self._describe()

    def scores(self, method: str, found: NDArray[np.float64]) -> None:
        """Scores of the judged items."""
        from safetensors.numpy import save

        store.replace_file(self._run.path / "scores" / f"{method}.safetensors", save({"scores": found}))

    def ranker(self, method: str, ranker: Ranker) -> None:
        """A scorer on frozen features."""
        from safetensors.numpy import save

        from engine.ranker import arrays

        store.replace_file(self._run.path / "rankers" / f"{method}.safetensors", save(arrays(ranker)))
        self._about["rankers"][method] = {"loss": ranker.loss, "parameters": ranker.parameters}
        self._describe()

    def tuned(self, tuned: TunedRanker) -> None:
        """A fine-tuned encoder under its head, which is taken over by nobody before :meth:`settled`."""
        from engine.tunerank import save

        self._about["tuned"] = None
        self._describe()
        save(tuned, self._run.path / TUNED)

    def settled(self, made: list[Any], result: dict[str, Any], steps: Sequence[RouteStep]) -> None:
        """Model, scores and figures of the fine-tuning that ``made`` decides are on the disk."""
        files = sizes(self._run.path / TUNED)
        self._about["tuned"] = {"made": made, "files": files, "result": result, "steps": rows_of(steps)}
        self._describe()

    def again(self, made: list[Any], items: int) -> Earlier | None:
        """The fine-tuning that ``made`` decides, of an earlier start of the run; None where it is not whole."""
        told = self._about["tuned"]
        try:
            if told is None or told["made"] != made or told["files"] != sizes(present(self._run.path / TUNED)):
                return None
            scores = outcome.load_arrays(self._run.path / "scores" / f"{FINETUNE}.safetensors")["scores"]
            return Earlier(dict(told["result"]), scores, steps_from(told["steps"])) if len(scores) == items else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def results(self, results: dict[str, dict[str, Any]]) -> None:
        """Figures of every method so far; an earlier fine-tuning's stay until there are others."""
        told = self._about["tuned"]
        earlier = {FINETUNE: told["result"]} if told is not None and FINETUNE not in results else {}
        self._run.write_json("results.json", {**results, **earlier})

    def _found(self, fingerprint: str) -> dict[str, Any] | None:
        """What is told of the fine-tuning of an earlier start on the same data."""
        about = self._run.read_json("choices.json")
        told = about.get("tuned")
        if not isinstance(told, dict) or (about.get("format"), about.get("fingerprint")) != (FORMAT, fingerprint):
            return None
        return told if isinstance(told.get("made"), list) and isinstance(told.get("result"), dict) else None

    def _describe(self) -> None:
        self._run.write_json("choices.json", self._about)


@dataclass(frozen=True)
class Earlier:
    """The fine-tuning of an earlier start of the run."""

    result: dict[str, Any]
    scores: NDArray[np.float64]
    """of the judged items"""
    steps: tuple[RouteStep, ...]


@dataclass(frozen=True)
class Kept:
    """What a run holds beside its journal."""

    items: tuple[Item, ...]
    about: dict[str, Any]
    results: dict[str, dict[str, Any]]


def read(run: Run) -> Kept:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no ranking."""
    about = run.read_json("choices.json")
    try:
        lines = (run.path / "items.jsonl").read_text("utf-8").split("\n")
        items = []
        for row in (json.loads(line) for line in lines if line):
            items.append(Item(**{**row, "choices": tuple(map(str, row["choices"]))}))
        return Kept(tuple(items), about, run.read_json("results.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.CheckpointError(f"{run.name} holds no ranked questions that can be read ({error})") from None


def read_ranker(run: Run, method: str, loss: str) -> Ranker:
    """A scorer of the run. Raises :class:`checkpoints.store.CheckpointError`."""
    from engine.ranker import LOSSES, ranker_from

    try:
        if loss not in LOSSES:
            raise ValueError(f"no loss {loss!r}")
        return ranker_from(outcome.load_arrays(run.path / "rankers" / f"{method}.safetensors"), loss)
    except (OSError, ValueError, KeyError) as error:
        raise store.CheckpointError(f"the ranker {method} of {run.name} cannot be read ({error})") from None
