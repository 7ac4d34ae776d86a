"""What every comparison does around its work: check the spec, read the data, keep what comes of it, tell the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from checkpoints.run import Run
from engine.comparison.contender import Contender, Inputs, Labelled, LeftOut
from engine.comparison.tuned_encoder import FineTuned, FittedEncoder
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import Settings, Training, Tuned, made_of
from engine.encoders.recorded_steps import recording
from engine.hub_data import Obey
from engine.runs.events import Classified, ContenderDone, ContenderStep, Event, Loaded, Notice, Progress
from engine.runs.messages import Control, Stopped, handle_messages
from engine.runs.spec import BadSpec, DataSpec
from engine.runs.writes import PendingWrites


class Comparison:
    """Contenders, fitted and judged one after another. A subclass reads the data, judges and keeps the results.

    It alone holds the labels of the judged split; contenders are given ``judged``, which has none.
    """

    store: Any = None
    """the results in the run directory; None where there is no run"""

    def __init__(
        self,
        spec: Any,
        data: Any,
        control: Control,
        train: Labelled,
        held_out: Labelled,
        judged: Inputs,
        features: Any,
    ) -> None:
        self.spec, self.data, self.control, self.features = spec, data, control, features
        self.train, self.held_out, self.judged = train, held_out, judged
        self.figures: dict[str, dict[str, Any]] = {}
        """figures of each method so far"""
        self.steps: dict[str, int] = {}
        """that the optimizer of each method took until its last evaluation"""
        self.read: dict[str, Any] = {}
        """``texts`` that the fine-tuned encoder reads, and the ``truncated_texts`` among them"""
        self._said: set[str] = set()

    def loaded(self) -> Loaded:
        """What was read."""
        raise NotImplementedError

    def split_sizes(self) -> Loaded:
        """What every task tells of its data: where it comes from, and how many items each split has."""
        data = self.data
        return Loaded(
            task=self.spec.task,
            data=data.name,
            source=data.source,
            train=len(self.train.items),
            held_out=len(self.held_out.items),
            judged=len(self.judged.items),
            judged_split="",
            fingerprint=data.fingerprint,
            contenders=(),
            checks=(),
            repairs=data.repairs,
        )

    def keep(self, run: Run, writes: PendingWrites) -> None:
        """Write everything that comes of it into ``run``. Raises :class:`OSError`."""
        raise NotImplementedError

    def run(self) -> Generator[Event, None, None]:
        """Fit and judge every contender. Raises :class:`Stopped`."""
        raise NotImplementedError

    def judge(self, contender: Contender, fitted: Any, steps: list[ContenderStep], begun: float) -> Iterator[Event]:
        """Judge a contender that was fitted from ``begun`` on, and put its figures into ``figures`` and the results."""
        raise NotImplementedError

    def earlier(self, name: str, key: list[Any] | None) -> Any:
        """What an earlier start of the run has trained, with its ``steps``; None where there is nothing.

        ``key`` is everything that decides a fine-tuning.
        """
        return self.store.earlier(name, key) if self.store is not None else None

    def take_over(self, name: str, earlier: Any) -> Iterator[Event]:
        """Put the figures of an earlier start into ``figures`` and the results."""
        raise NotImplementedError

    def results(self) -> dict[str, dict[str, Any]]:
        """Figures of each method so far."""
        return self.figures

    def verdict(self) -> str:
        """What the figures say, in a few sentences."""
        raise NotImplementedError

    def done(self, name: str) -> ContenderDone:
        """The figures of a method that was judged."""
        return ContenderDone(name, self.figures[name])

    def contend(
        self, contender: Contender, saved_epochs: Sequence[EpochCheckpoints] = (), key: list[Any] | None = None
    ) -> Generator[Event, None, None]:
        """Fit a contender and judge it, or take over what an earlier start of the run has trained.

        ``saved_epochs`` of the fine-tuning that ``key`` decides, by each seed, are removed when its results are on the
        disk.
        """
        name, begun, steps = contender.name, time.monotonic(), list[ContenderStep]()
        if (earlier := self.earlier(name, key)) is not None:
            steps = list(earlier.steps)
            yield from steps
            yield from self.take_over(name, earlier)
        else:
            try:
                fitted = yield from recording(self.fit(contender), steps)
                yield from self.judge(contender, fitted, steps, begun)
            except LeftOut as error:
                yield Notice(str(error), "warning", name)
                return
            if key is not None and self.store is not None:
                self.store.settled(key, steps)
                yield from self.store.writes.settle(self.control)
        for one in saved_epochs:
            one.clear()
        self.steps |= {name: steps[-1].step} if steps else {}
        yield self.done(name)
        yield from handle_messages(self.control, len(self.figures))

    def fit(self, contender: Contender) -> Generator[Event, None, Any]:
        """Let a contender learn."""
        return contender.fit(self.train, self.held_out, self.features, self.control)

    def encode(self) -> Iterator[Event]:
        """Encode all splits with the frozen encoder, and keep what that cost."""
        yield from self.features.encode(self.control)
        (done,) = self.features.encodings
        if self.store is not None:
            self.store.encoder(self.features.encoder, encoding=asdict(done))
        yield from self._truncated(done.texts, done.truncated_texts or 0)

    def texts(self) -> list[str]:
        """What a fine-tuned encoder reads of all splits."""
        return [text for split in (self.train, self.held_out, self.judged) for text in split.items]

    def _truncated(self, texts: int, count: int) -> Iterator[Event]:
        """Tell, once, how many of the texts were cut, if any."""
        length = min(self.spec.length, self.features.encoder.positions)
        said = f"{count:,} of {texts:,} texts were cut to {length:,} tokens"
        if count and said not in self._said:
            self._said.add(said)
            yield Notice(said, "warning", "length")

    def fine_tune(
        self, settings: Settings, training: Callable[..., Training], fitted: Callable[[Tuned], FittedEncoder]
    ) -> Generator[Event, None, None]:
        """Fine-tune the whole encoder of the features and judge it; see :class:`FineTuned` for the arguments."""
        encoder, texts, count = self.features.encoder, self.texts(), 0
        for start in range(0, len(texts), 4096):
            some = encoder.truncated(texts[start : start + 4096], min(settings.length, encoder.positions))
            count += sum(cut for _, cut in some)
            yield from handle_messages(self.control, len(self.figures))
        self.read = {"texts": len(texts), "truncated_texts": count}
        yield from self._truncated(len(texts), count)
        saved_epochs: list[EpochCheckpoints] = []
        fingerprint, device = self.data.fingerprint, self.spec.device  # nothing else of the data is for contenders

        def seeded(number: int) -> FineTuned:
            reseeded = replace(settings, seed=settings.seed + number)
            saved_epochs.append(stack.enter_context(EpochCheckpoints(*made_of(encoder, reseeded, fingerprint))))
            return FineTuned(encoder, reseeded, saved_epochs[-1], device, training, fitted, seeded)

        with contextlib.ExitStack() as stack:
            yield from self.contend(seeded(0), saved_epochs, made_of(encoder, settings, fingerprint))


def compare(
    spec: DataSpec, control: Control, run: Run | None, read: Callable[[Obey], Generator[Event, None, Comparison]]
) -> Iterator[Event]:
    """Everything that happens in a comparison; the last event is :class:`Classified`, also after a :class:`Stop`.

    ``read`` is given what obeys messages while a download runs. What comes of it is written into ``run`` as it comes.
    Raises :class:`engine.runs.spec.BadSpec`, :class:`OSError` and what ``read`` and the work raise.
    """
    if problems := spec.validate():
        raise BadSpec(problems)
    begun, reason, writes = time.monotonic(), "done", PendingWrites()
    work: Comparison | None = None
    try:
        yield Progress(f"reading {spec.data}", 0, 0)
        found = yield from read(partial(handle_messages, control, 0))
        yield from handle_messages(control, 0)
        work = found
        yield work.loaded()
        if run is not None:
            work.keep(run, writes)
        yield from writes.watch(work.run())
        yield from writes.settle(control)
    except Stopped:
        reason = "stopped"
        yield from writes.abandon()
    results = work.results() if work is not None else {}
    verdict = work.verdict() if work is not None else ""
    encodings = tuple(work.features.encodings) if work is not None else ()
    spent = round(time.monotonic() - begun, 3)
    name = run.name if run is not None else ""
    yield Classified(reason, len(results), None, name, spent, results, verdict, encodings)
