"""Training as a generator of events: ``for event in train(spec, control)`` is all there is to it.

Between two steps the task reads its messages; at a *boundary* (a step at which something is due) it evaluates, saves
and samples, in this order. A run that resumes at a step first does what was still due there.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator

import torch

from checkpoints import state, store
from checkpoints.run import Run
from data.vocabulary import UnknownCharacterError
from engine.device import free_memory, measure_peak, out_of_memory, place, release
from engine.gpt import setup
from engine.gpt.captured import CapturedStep
from engine.gpt.diagnose import Evaluation, diagnose
from engine.gpt.loss_buffer import LossBuffer
from engine.gpt.other_ranks import send_training
from engine.gpt.sample import Request, Sampler
from engine.gpt.saving import Checkpointer
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import HISTORY, Trainer
from engine.ranks import LOST, RankLost, Ranks, join
from engine.runs import messages as ask
from engine.runs.events import (
    Continued,
    Estimated,
    Evaluated,
    Event,
    Finished,
    Notice,
    Paused,
    Progress,
    SampleText,
    Step,
)
from engine.runs.messages import Control
from engine.runs.spec import to_dict

LONGEST_SAMPLE = 10_000  # characters of a sample that is asked for during training
LAST_TRIES = 20  # saves at the end of a run that cannot be saved: about 20 minutes
PAUSED_SPENDS = 1 / 3  # seconds of training whose share a sample gets at a time while nothing trains
ESTIMATE_AFTER = 10  # steps of this process after which the run's duration is told

LESS = "lower the context or the width, or use another device"


class TrainingFailed(Exception):
    """Training cannot go on; the message is for the user."""


def train(
    spec: TrainSpec,
    control: Control | None = None,
    *,
    run: Run | None = None,
    resume: bool = False,
    before_commit: Callable[[], object] = lambda: None,
) -> Iterator[Event]:
    """Train a GPT as ``spec`` says and yield what happens.

    With a ``run`` checkpoints are saved in it; the caller owns its lock. With ``resume`` the newest whole checkpoint
    of ``run`` is continued exactly; where ``spec`` differs from it, ``spec`` counts. ``before_commit`` is called in
    another thread before each checkpoint is committed, with every event before it yielded. Raises
    :class:`BadSpec`, :class:`data.corpus.CorpusError`, :class:`checkpoints.store.CheckpointError` before
    the first step and :class:`TrainingFailed`, also where the model does not fit into the memory.
    """
    session = _Session(spec, control or Control(), run, before_commit)
    try:
        yield from session.events(resume)
    except RankLost as error:
        raise TrainingFailed(f"{error}: resume continues from the last checkpoint") from error
    finally:
        session.close()


class _Session:
    """One stretch of a run in one process."""

    def __init__(self, spec: TrainSpec, control: Control, run: Run | None, before_commit: Callable[[], object]) -> None:
        self.spec, self.control, self.run = spec, control, run
        self.checkpointer = Checkpointer(
            run.checkpoints if run else None, spec.save_every, self._capture, before_commit
        )
        self.ranks = Ranks()
        self.stop: str | None = None
        self.save_at_end = True
        self.paused = False
        self.estimated = False
        self.steps_read = 0
        self.training_here = 0.0

    def close(self) -> None:
        self.ranks.close()
        self.checkpointer.close()

    # -- the shape of a run ------------------------------------------------------------------------------------------

    def events(self, resume: bool) -> Iterator[Event]:
        try:
            yield from self._set_up(resume)
        except ask.Stopped:
            saved = store.checkpoints(self.run.checkpoints) if self.run else []
            step = store.step_of(saved[0]) if saved else 0
            yield Finished("stopped", step, None, self.run.name if self.run else "")
            return
        yield from self._boundary()
        while self.stop is None and self.position.step < self.spec.steps:
            yield from self._obey()
            if self.paused or self.stop is not None:
                continue
            yield from self._step()
            if self.losses.due():
                yield from self._read()
            if self.stop is None and self._boundary_due():
                yield from self._boundary()
        yield from self._end()

    def _set_up(self, resume: bool) -> Iterator[Event]:
        placement = place(self.spec.device, self.spec.precision, self.spec.threads)
        corpus = yield from setup.load_corpus(self.spec, self.run, self.control, resume=resume)
        asked, self.spec = self.spec, self.spec.for_corpus(len(corpus.ids), corpus.vocabulary, corpus.text(0, 1))
        yield Progress("measuring speed", 0, 0)
        self.ranks = join()
        free = free_memory(placement.device)
        self.corpus = corpus
        try:
            self.peak = measure_peak(placement) * self.ranks.world
            self.trainer = Trainer(self.spec, corpus, placement, self.ranks)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise TrainingFailed(f"the model does not fit into the memory of {placement.device}: {LESS}") from error
        self.position = self.trainer.position
        notices = [*placement.notices()]
        notices += [Notice(text, "warning", "corpus") for text in corpus.notices]
        notices += [Notice(f"{corpus.name}: {cut}", "info", "corpus") for cut in corpus.cuts]
        if self.spec.sample_prompt != asked.sample_prompt:
            text = f"the corpus has no line break; samples begin with {self.spec.sample_prompt!r}"
            notices.append(Notice(text, "info", "prompt"))
        if self.spec.sample_every and self.spec.unseen:
            text = (
                f"the sample prompt is longer than the context: the model sees its last {self.spec.context} characters"
            )
            notices.append(Notice(text, "warning", "prompt"))
        if resume:
            assert self.run is not None
            saved, skipped = setup.restore(self.run, self.trainer)
            self.position = self.trainer.position
            self.checkpointer.resume(saved, self.position.best_step)
            notices += skipped
        send_training(self.trainer)
        self.train_step = CapturedStep(self.trainer)
        self.sampler = Sampler(self.trainer.model, self.spec.seed, self.spec.temperature)
        self.losses = LossBuffer(placement.device)
        self.flops = self.trainer.model.config.flops_per_token()
        self.tokens_per_step = self.spec.batch * self.spec.context
        started = setup.describe(self.trainer, run=self.run, peak=self.peak, free=free)
        yield started
        if free is not None and started.memory_needed > free:
            needed, there = (f"{size / 2**30:.1f} GiB" for size in (started.memory_needed, free))
            told = f"needs about {needed}, {there} are free: it may run out"
            notices.append(Notice(told, "warning", "memory"))
        yield from notices

    def _end(self) -> Iterator[Event]:
        if not self.ranks.close():
            yield Notice(LOST, "warning", "ranks", self.position.step)
        if self.stop != "diverged":
            yield from self._read(everything=True)
        reason = self.stop or "steps"
        if self.save_at_end:
            if reason != "diverged":
                yield from self._finish_sample()
            yield from self._save()
        yield from self.checkpointer.report(wait=True)
        if self.save_at_end:
            yield from self._insist()
            if reason != "diverged" and self._missing():
                reason = "failed"
        best = self.position.best_val_loss if self.position.best_step >= 0 else None
        name = self.run.name if self.run else ""
        yield Finished(reason, self.position.step, best, name, self.position.seconds)

    def _insist(self) -> Iterator[Event]:
        """Try again to save the best and the last step while that fails, since they would be lost; a stop ends it."""
        tries = 0
        while (missing := self._missing()) and tries < LAST_TRIES:
            while not self.checkpointer.due():
                self.control.wait(0.1)
                if any(isinstance(message, ask.Stop) for message in self.control.take()):
                    steps = " and ".join(f"step {step:,}" for step in missing)
                    yield Notice(f"stopped without saving {steps}", "error", "save", self.position.step)
                    return
            tries += 1
            yield from self._save()
            yield from self.checkpointer.report(wait=True)

    def _missing(self) -> list[int]:
        return self.checkpointer.missing(self.position.step if self.stop != "diverged" else -1)

    # -- between two steps -------------------------------------------------------------------------------------------

    def _obey(self) -> Iterator[Event]:
        for message in self.control.take():
            match message:
                case ask.Stop(save=save):
                    self.stop, self.save_at_end = "stopped", save
                case ask.Pause() if not self.paused:
                    yield from self._read(everything=True)
                    self.paused = True
                    yield Paused(self.position.step)
                case ask.Continue() if self.paused:
                    self.paused = False
                    self.losses.restart()
                    yield Continued(self.position.step)
                case ask.SaveNow(pin=pin):
                    yield from self._save(pin=pin)
                case ask.SetLearningRate(learning_rate=rate):
                    yield self._set_learning_rate(rate)
                case ask.SampleNow(prompt=prompt, length=length):
                    yield from self._asked(prompt, length)
        if self.paused and self.stop is None:
            if self.sampler.current is not None:
                yield from self._spend(PAUSED_SPENDS)
                yield from self._read(everything=True)
            else:
                self.control.wait(0.05)
            yield from self.checkpointer.report()
            if self.checkpointer.failing and self.checkpointer.due():
                yield from self._save()

    def _set_learning_rate(self, rate: float) -> Notice:
        if not 0 < rate <= 1:
            return Notice(f"a learning rate of {rate:g} is out of range and was ignored", "warning", "learning_rate")
        self.position.learning_rate, self.checkpointer.saved_step = rate, -1
        return Notice(f"peak learning rate set to {rate:g}", "info", "learning_rate", self.position.step)

    def _asked(self, prompt: str, length: int) -> Iterator[Event]:
        step, text = self.position.step, prompt or self.spec.sample_prompt
        try:
            encoded = self.corpus.vocabulary.encode(text)
        except UnknownCharacterError as error:
            yield Notice(f"no sample: {error}", "warning", "prompt")
            return
        if encoded.mapped:
            yield Notice(f"prompt: {encoded.explain()}", "info", "prompt")
        self.position.requests += 1
        length = min(length, LONGEST_SAMPLE) if length > 0 else self.spec.sample_length
        yield from self._finish_sample()  # a request waits: the scheduled one is completed at once
        request = Request(step, f"{step}-{self.position.requests}", text, encoded.ids, length, asked=True)
        yield from self._begin_sample(request)

    # -- a step ------------------------------------------------------------------------------------------------------

    def _step(self) -> Iterator[Event]:
        begun = time.perf_counter()
        try:
            loss, norm, rate = self.train_step()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            yield self._halve_micro_batch(error)
            return
        self.losses.add(self.position.step, rate, loss, norm)
        spent = time.perf_counter() - begun
        self.position.seconds += spent
        yield from self.train_step.notices()
        yield from self._spend(spent)

    def _halve_micro_batch(self, error: RuntimeError) -> Notice:
        """After memory ran out; raise when there is nothing left to halve."""
        batch, micro = self.spec.batch, self.position.micro_batch
        if micro == 1:
            raise TrainingFailed(f"out of memory with one window at a time: {LESS}") from error
        self.trainer.take_micro_batch(math.ceil(micro / 2))
        return Notice(
            f"out of memory: taking {self.position.micro_batch} windows at a time from now on; "
            f"the batch per step is unchanged: {batch}",
            "warning",
            "memory",
            self.position.step,
        )

    def _spend(self, seconds: float) -> Iterator[Event]:
        """Give the sample under way its share of the time."""
        yield from self._decode(self.sampler.spend(seconds))
        if self.sampler.finished():
            yield from self._finish_sample()

    def _read(self, *, everything: bool = False) -> Iterator[Event]:
        """Turn what the device has measured into events; end the run at the first number that is not finite."""
        losses, ids = self.losses.take(everything=everything)
        for one in losses:
            if not (math.isfinite(one.loss) and math.isfinite(one.gradient_norm)):
                yield self._diverged(one.step)
                return
            self.position.train_sum += one.loss
            self.position.train_count += 1
            self.training_here += one.seconds
            self.steps_read += 1
            rate = self.tokens_per_step / one.seconds
            yield Step(
                step=one.step,
                loss=one.loss,
                learning_rate=one.learning_rate,
                gradient_norm=one.gradient_norm,
                tokens_per_second=round(rate, 1),
                peak_share=round(rate * self.flops / self.peak, 4),
                seconds_left=round((self.spec.steps - one.step) * self.training_here / self.steps_read, 1),
            )
        if ids and (request := self.sampler.current) is not None:
            yield SampleText(request.step, request.ident, self.corpus.vocabulary.decode(ids))
        if not self.estimated and self.steps_read >= ESTIMATE_AFTER:
            self.estimated = True
            each = self.training_here / self.steps_read
            yield Estimated(round(each, 6), round((self.spec.steps - self.position.step) * each, 1))
        yield from self.checkpointer.report()

    def _diverged(self, step: int) -> Notice:
        self.stop = "diverged"
        saved = self.run is not None and (self.checkpointer.saved_step >= 0 or store.checkpoints(self.run.checkpoints))
        kept = "its last good checkpoint is kept" if saved else "there was no checkpoint yet"
        return Notice(
            f"the loss became NaN or infinite at step {step:,}: stopped, {kept}. "
            f"Resume with a lower learning rate, say {self.position.learning_rate / 2:.2g}",
            "error",
            "divergence",
            step,
        )

    # -- boundaries --------------------------------------------------------------------------------------------------

    def _boundary_due(self) -> bool:
        return self._due(self.spec.evaluate_every) or self._due(self.spec.sample_every) or self.checkpointer.due()

    def _due(self, every: int) -> bool:
        """Whether this step is a multiple of ``every`` or the last; never for 0."""
        step = self.position.step
        return every > 0 and (step >= self.spec.steps or step % every == 0)

    def _boundary(self) -> Iterator[Event]:
        """Evaluate, save and sample, whatever is due at this step and not done yet."""
        yield from self._read(everything=True)
        if self.stop is not None:
            return
        step, spec, position = self.position.step, self.spec, self.position
        if self._due(spec.evaluate_every) and position.evaluated_step != step:
            yield from self._evaluate()
            if self.stop is not None:
                return
        if self.checkpointer.due() and self.checkpointer.saved_step != step:
            yield from self._finish_sample()
            yield from self._save()
        if self._due(spec.sample_every) and position.sampled_step != step:
            yield from self._finish_sample()
            ids = self.corpus.vocabulary.encode(spec.sample_prompt).ids
            request = Request(step, str(step), spec.sample_prompt, ids, spec.sample_length, asked=False)
            yield from self._begin_sample(request)
        self.losses.restart()

    def _evaluate(self) -> Iterator[Event]:
        position, begun = self.position, time.perf_counter()
        loss = yield from self._validation_loss()
        if self.stop is not None:
            return
        if not math.isfinite(loss):
            yield self._diverged(position.step)
            return
        train_loss = position.train_sum / position.train_count if position.train_count else None
        position.train_sum, position.train_count, position.evaluated_step = 0.0, 0, position.step
        position.history = [*position.history, Evaluation(position.step, loss, train_loss)][-HISTORY:]
        best = loss < position.best_val_loss
        if best:
            position.best_step, position.best_val_loss, position.without_progress = position.step, loss, 0
        else:
            position.without_progress += 1
        yield Evaluated(
            step=position.step,
            val_loss=loss,
            bits_per_character=loss / math.log(2),
            train_loss=train_loss,
            best_val_loss=position.best_val_loss,
            best_step=position.best_step,
            seconds=round(time.perf_counter() - begun, 3),
        )
        yield from self._remark()
        if best and position.step > 0:
            self.checkpointer.hold(position.step)
        if self.spec.patience and position.without_progress >= self.spec.patience:
            self.stop = "early_stop"
            yield Notice(
                f"no better validation loss in {self.spec.patience} evaluations: stopped early, "
                f"best was {position.best_val_loss:.4f} at step {position.best_step:,}",
                "info",
                "early_stop",
                position.step,
            )

    def _validation_loss(self) -> Generator[Event, None, float]:
        """The loss on the whole validation split; meaningless when a stop came in between."""
        total, told, loss = len(self.trainer.validation) - 1, time.perf_counter(), math.nan
        while True:
            try:
                for done, mean in self.trainer.evaluate():
                    loss = mean
                    if (now := time.perf_counter()) - told > 1.0:
                        told = now
                        yield Progress("evaluating", done, total)
                        if self.ranks.world == 1:  # the others would wait for the rest of the evaluation
                            self._look_for_stop()
                        if self.stop is not None:
                            break
                return loss
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if self.trainer.evaluation_tokens <= self.spec.context:
                    raise TrainingFailed("out of memory in an evaluation of one window") from error
                self.trainer.evaluation_tokens //= 2
                text = f"out of memory: evaluating {self.trainer.evaluation_tokens:,} characters at a time from now on"
                yield Notice(text, "warning", "memory", self.position.step)

    def _look_for_stop(self) -> None:
        """Only a stop can interrupt an evaluation; everything else waits for its end."""
        for message in self.control.take():
            if isinstance(message, ask.Stop):
                self.stop, self.save_at_end = "stopped", message.save
            else:
                self.control.send(message)

    def _remark(self) -> Iterator[Event]:
        found = diagnose(self.position.history, self.corpus.facts.uniform)
        kind = found[0] if found else ""
        if found and kind != self.position.said:
            yield Notice(found[1], "warning", kind, self.position.step)
        self.position.said = kind

    # -- samples -----------------------------------------------------------------------------------------------------

    def _begin_sample(self, request: Request) -> Iterator[Event]:
        """Begin a sample, unless there is no memory for it; the one before has ended."""
        try:
            self.sampler.begin(request)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            yield self._leave_out(request)
            return
        yield from self._read(everything=True)
        yield SampleText(request.step, request.ident, "", request.prompt)

    def _finish_sample(self) -> Iterator[Event]:
        """Decode the sample under way to its end, if there is one."""
        if (request := self.sampler.current) is None:
            return
        yield from self._decode(self.sampler.drain())
        if self.sampler.finished():
            yield from self._read(everything=True)
            self.sampler.close()
            if not request.asked:
                self.position.sampled_step = request.step
            yield SampleText(request.step, request.ident, "", done=True)

    def _decode(self, tokens: Iterator[torch.Tensor]) -> Iterator[Event]:
        """Note tokens of the sample under way, which ends where memory runs out."""
        try:
            for ids in tokens:
                self.losses.add_sampled(ids)
            return
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        yield from self._read(everything=True)
        if (request := self.sampler.current) is not None:
            yield self._leave_out(request)
            yield SampleText(request.step, request.ident, "", done=True)

    def _leave_out(self, request: Request) -> Notice:
        """Let go of a sample that has begun, since there is no memory for it."""
        self.sampler.drop()
        if not request.asked:
            self.position.sampled_step = request.step
        release(self.trainer.placement.device)
        text = f"out of memory: the sample of step {request.step:,} ends here"
        return Notice(text, "warning", "memory", self.position.step)

    # -- saving ------------------------------------------------------------------------------------------------------

    def _save(self, *, pin: bool = False) -> Iterator[Event]:
        if self.stop != "diverged":
            yield from self._read(everything=True)
        step = self.position.step if self.stop != "diverged" else -1
        yield from self.checkpointer.save(step, best=self.position.best_step == step, pin=pin)

    def _capture(self) -> tuple[state.Snapshot, store.State]:
        """Everything that the next step depends on."""
        return state.capture(self.trainer.model, self.trainer.optimizer), {
            "spec": to_dict(dataclasses.replace(self.spec, threads=self.trainer.placement.threads)),
            "position": self.position.to_dict(),
            "vocabulary": list(self.corpus.vocabulary.characters),
            "fingerprint": self.corpus.fingerprint,
            "randomness": "derived from the seed and the step",
            "torch": torch.__version__,
        }
