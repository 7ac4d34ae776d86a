"""What every comparison keeps in its run directory: a description of itself, and a fine-tuned model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from checkpoints import arrays, store
from checkpoints.run import Run
from engine.encoders.find import Encoder, NoEncoder, find
from engine.encoders.pretraining import pretraining
from engine.encoders.recorded_steps import rows_of, steps_from
from engine.model_folder import present
from engine.runs.events import ContenderStep
from engine.runs.messages import finish
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TUNED = "finetuned"
"""folder of the fine-tuned model"""
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""what reading damaged files raises"""
FORMAT = 1


@dataclass(frozen=True)
class Earlier:
    """A method that an earlier start of the run has trained."""

    result: dict[str, Any]
    """its figures, as ``results.json`` holds them"""
    outputs: Sequence[NDArray[np.float64]]
    """for the judged items, by each seed"""
    steps: tuple[ContenderStep, ...]


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Where files of a run are read; damaged ones raise :class:`checkpoints.store.CheckpointError` for ``what``."""
    try:
        yield
    except UNREADABLE as error:
        raise store.CheckpointError(f"{what} ({error})") from None


def has_tuned(run: Run) -> bool:
    """Whether a fine-tuned model is there."""
    return (present(run.path / TUNED) / "config.json").is_file()


def encoder_of(run: Run, about: Mapping[str, Any]) -> Encoder:
    """The encoder that the methods of a run stand on; ``about`` is its description.

    Raises :class:`engine.encoders.find.NoEncoder`, also when it is another now.
    """
    known = about.get("encoder") or {}
    found = finish(find(str(known.get("name", ""))))
    if found.identity != known.get("identity"):
        raise NoEncoder(f"{found.name} is not the encoder that {run.name} was trained on any more")
    return found


def json_lines(file: Path) -> list[Any]:
    """What each line of ``file`` holds. Raises :class:`OSError` and :class:`ValueError`."""
    return [store.decode(line) for line in store.read_file(file).split(b"\n") if line]


class Results:
    """Writes the results of a comparison, each file atomically, through ``writes``."""

    ABOUT: ClassVar[str]
    """the file that describes the results"""
    SAME: ClassVar[tuple[str, ...]]
    """fields of the description that decide whether results of an earlier start are still valid"""
    OUTPUTS: ClassVar[tuple[str, str]]
    """the folder of what each method gave for the judged items, and the name of the array in its files"""
    ITEMS: ClassVar[str]
    """the file with the judged items"""

    def __init__(self, run: Run, writes: PendingWrites, about: Mapping[str, Any]) -> None:
        """``about``: the description of a run without results."""
        self._run, self.writes = run, writes
        self._about: dict[str, Any] = {"format": FORMAT, **about, "encoder": None, "tuned": None}

    def items(self, items: Iterable[Mapping[str, Any]], *, ascii_only: bool = False) -> None:
        """The judged items, a line of JSON each."""
        lines = [json.dumps(item, ensure_ascii=ascii_only) + "\n" for item in items]
        self.writes.file(self._run.path / self.ITEMS, "".join(lines).encode("utf-8", "replace"))

    def outputs(self, method: str, found: Sequence[NDArray[np.float64]]) -> None:
        """What a method gave for the judged items, by each seed."""
        folder, name = self.OUTPUTS
        held = {f"{name}.{seed}" if seed else name: one for seed, one in enumerate(found)}
        self.writes.file(self._run.path / folder / f"{method}.safetensors", arrays.encode(held))

    @classmethod
    def outputs_of(cls, run: Run, method: str, *shape: int) -> list[NDArray[np.float64]]:
        """What :meth:`outputs` wrote. Raises :class:`ValueError` unless each shape begins with ``shape``."""
        folder, name = cls.OUTPUTS
        held = arrays.read(run.path / folder / f"{method}.safetensors")
        found = [held[f"{name}.{seed}" if seed else name] for seed in range(len(held))]
        if any(one.shape[: len(shape)] != shape for one in found):
            raise ValueError(f"the {folder} of {method} are of other items")
        return found

    def encoder(self, encoder: Encoder, **more: Any) -> None:
        """The encoder that the methods use; results with another one are dropped."""
        known = self._about["encoder"] or {}
        if known.get("identity") != encoder.identity:
            self._drop_encoded()
            self._about["tuned"] = None
        facts = {"name": encoder.name, "source": encoder.source, "identity": encoder.identity}
        facts["pretraining"] = pretraining(encoder)
        self._about["encoder"] = facts | more
        self._describe()

    def tuned(self, save: Callable[[Path], None]) -> None:
        """Write a fine-tuned model, which a new start uses only after :meth:`settled`."""
        self._about["tuned"] = None
        self._describe()
        self.writes.put(TUNED, partial(save, self._run.path / TUNED))

    def settled(self, key: list[Any], steps: Sequence[ContenderStep]) -> None:
        """Model, outputs and figures of the fine-tuning that ``key`` decides are on the disk."""

        def describe() -> None:
            files = store.digests(self._run.path / TUNED)
            self._about["tuned"] = {"made": key, "files": files, "steps": rows_of(steps)}
            self._run.write_json(self.ABOUT, store.with_checksum(self._about))

        self.writes.put(f"{self.ABOUT} of the fine-tuned model", describe, after=None)

    def _steps_of_tuned(self, key: list[Any]) -> tuple[ContenderStep, ...]:
        """Steps of the fine-tuning that ``key`` decides. Raises one of ``UNREADABLE`` where there is no whole one."""
        facts = self._about["tuned"]
        if facts["made"] != key or not facts["files"]:
            raise ValueError("another fine-tuning")
        if facts["files"] != store.digests(present(self._run.path / TUNED)):
            raise ValueError("the model was changed")
        return steps_from(facts["steps"])

    def _drop_encoded(self) -> None:
        raise NotImplementedError

    def _describe(self) -> None:
        self.writes.json(self._run.path / self.ABOUT, store.with_checksum(self._about))

    def _earlier_about(self) -> dict[str, Any] | None:
        """The description of an earlier start on the same data, or None; its encoder and model are taken over."""
        about = self._run.read_json(self.ABOUT)
        if any(about.get(name) != self._about[name] for name in self.SAME):
            return None
        for name in ("encoder", "tuned"):
            if isinstance(about.get(name), dict):
                self._about[name] = about[name]
        return about
