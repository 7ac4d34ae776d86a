"""The training task: what it yields, what it obeys, and what it does when something goes wrong."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from workbench import VERSE, measured, new_run, notices, only, samples, spec, stop_at, train

from checkpoints import store
from checkpoints.journal import Journal
from data.corpus import CorpusError, from_text
from data.windows import derive_seed
from engine.gpt import runs as gpt_runs
from engine.gpt import saving
from engine.gpt import train as module
from engine.gpt.model import GPT
from engine.gpt.sample import sample
from engine.gpt.train import TrainingFailed
from engine.gpt.trained import load, take_sample
from engine.gpt.trainer import Trainer
from engine.runs import owner
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
    Saved,
    Started,
    Step,
    to_dict,
)
from engine.runs.messages import Continue, Control, Pause, SampleNow, SaveNow, SetLearningRate, Stop
from engine.runs.spec import BadSpec

pytestmark = pytest.mark.usefixtures("known_peak")


@pytest.fixture
def straight(verse: Path) -> list[Event]:
    """Training without a run and without disturbance."""
    return train(spec(verse))


def test_events_come_in_the_order_of_the_work(verse: Path) -> None:
    run = new_run(spec(verse))
    events = train(spec(verse), run=run)
    kinds = [type(event) for event in events if not isinstance(event, SampleText | Estimated)]
    begin = kinds.index(Started)
    assert set(kinds[:begin]) == {Progress}
    assert kinds[begin : begin + 3] == [Started, Evaluated, Step]
    assert kinds[-2:] == [Saved, Finished]
    assert [event.step for event in only(Step, events)] == list(range(1, 41))
    assert [event.step for event in only(Evaluated, events)] == [0, 10, 20, 30, 40]
    told = [event for event in events if isinstance(event, Step | Evaluated)]
    assert [event.step for event in told] == sorted(event.step for event in told)
    assert len(only(Estimated, events)) == 1
    assert len(only(Started, events)) == len(only(Finished, events)) == 1


def test_the_first_event_tells_corpus_model_and_machine(verse: Path, straight: list[Event]) -> None:
    (started,) = only(Started, straight)
    facts = from_text(VERSE, name="verse", source="").facts
    assert (started.step, started.steps, started.run, started.preset) == (0, 40, "", "nano")
    assert (started.corpus, started.characters, started.distinct) == ("verse", len(VERSE), len(set(VERSE)))
    assert started.train_tokens + started.validation_tokens == len(VERSE)
    assert started.validation_tokens == len(VERSE) - int(len(VERSE) * 0.9)
    assert started.uniform_entropy == pytest.approx(math.log(len(set(VERSE))))
    assert (started.unigram_entropy, started.bigram_entropy) == (facts.unigram, facts.bigram)
    assert started.tokens_per_step == 4 * 8
    assert started.parameters == spec(verse).model(len(set(VERSE))).parameters()
    assert (started.precision, started.threads, started.peak_flops) == ("float32", 1, 1e9)
    assert started.memory_needed > 16 * started.parameters


def test_evaluations_tell_bits_the_mean_training_loss_and_the_best(straight: list[Event]) -> None:
    evaluations = only(Evaluated, straight)
    losses = [event.loss for event in only(Step, straight)]
    for index, found in enumerate(evaluations):
        so_far = [other.val_loss for other in evaluations[: index + 1]]
        assert found.bits_per_character == pytest.approx(found.val_loss / 0.6931471805599453)
        assert found.best_val_loss == min(so_far)
        assert found.best_step == 10 * so_far.index(min(so_far))
        if index:
            assert found.train_loss == pytest.approx(sum(losses[10 * (index - 1) : 10 * index]) / 10)
    assert evaluations[0].train_loss is None
    assert evaluations[0].val_loss == pytest.approx(math.log(len(set(VERSE))), abs=0.1)  # knowing nothing yet
    assert evaluations[-1].val_loss < evaluations[0].val_loss - 0.1
    (finished,) = only(Finished, straight)
    assert (finished.reason, finished.step) == ("steps", 40)
    assert finished.best_val_loss == evaluations[-1].best_val_loss


def test_without_a_run_nothing_is_saved(straight: list[Event], tmp_path: Path) -> None:
    assert only(Saved, straight) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["verse.txt"]


def test_steps_tell_speed_and_what_is_left(straight: list[Event]) -> None:
    for event in only(Step, straight):
        assert event.tokens_per_second > 0
        assert event.peak_share == pytest.approx(
            event.tokens_per_second * spec("x").model(len(set(VERSE))).flops_per_token() / 1e9, rel=0.01, abs=1e-4
        )
    assert only(Step, straight)[-1].seconds_left == 0


def test_scheduled_samples_come_whole_and_in_order(straight: list[Event]) -> None:
    taken = samples(straight)
    assert list(taken) == ["0", "10", "20", "30", "40"]
    for prompt, text in taken.values():
        assert prompt == "\n"
        assert len(text) == 12
        assert set(text) <= set(VERSE)
    begun = [event.sample for event in only(SampleText, straight)]
    assert begun == sorted(begun, key=int)


def test_a_sample_is_what_the_saved_weights_say(verse: Path) -> None:
    run = new_run(spec(verse))
    taken = samples(train(spec(verse), run=run))
    trained = load(str(run.path), which="last")
    generator = torch.Generator().manual_seed(derive_seed(1337, "sample", "40"))
    prompt = trained.vocabulary.encode("\n").ids
    ids = [int(t) for t in sample(trained.model, prompt, 12, generator=generator, temperature=0.8)]
    assert trained.vocabulary.decode(ids) == taken["40"][1]


def test_the_same_spec_gives_the_same_run(verse: Path, straight: list[Event]) -> None:
    again = train(spec(verse))
    assert measured(again) == measured(straight)
    assert samples(again) == samples(straight)
    assert measured(train(spec(verse, seed=2))) != measured(straight)


def test_bfloat16_trains_too(verse: Path) -> None:
    events = train(spec(verse, precision="bfloat16", steps=10))
    assert only(Started, events)[0].precision == "bfloat16"
    first, last = only(Evaluated, events)
    assert last.val_loss < first.val_loss
    assert measured(events) != measured(train(spec(verse, steps=10)))


def test_too_short_a_corpus_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("ab" * 39)
    with pytest.raises(BadSpec, match="78 characters are too few"):
        train(spec(path))
    with pytest.raises(CorpusError, match="no such file"):
        train(spec(tmp_path / "none.txt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_corpus_without_a_line_break_trains_with_the_defaults_and_resumes(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("gattaca " * 400, encoding="utf-8")
    made = spec(path)
    assert made.sample_prompt == "\n"
    whole = train(made)
    (notice,) = notices("prompt", whole)
    assert notice.text == "the corpus has no line break; samples begin with 'g'"
    assert {prompt for prompt, _ in samples(whole).values()} == {"g"}
    run = new_run(made)
    first = train(made, run=run, on=stop_at(20))
    assert measured(first + train(made, run=run, resume=True)) == measured(whole)
    told = list(take_sample(load(str(run.path)), "\n", 5, 1, 0.0))
    assert only(SampleText, told)[0].prompt == "g"
    other = train(spec(path, sample_prompt="t"))
    assert {prompt for prompt, _ in samples(other).values()} == {"t"}


def test_a_run_that_failed_for_want_of_a_line_break_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("gattaca " * 400, encoding="utf-8")
    run = new_run(spec(path))
    journal = Journal(run.events)
    for event in (
        Notice("character '\\n' is not in this model's vocabulary", "error"),
        Finished("failed", 0, None, run.name),
    ):
        journal.append(to_dict(event))
    journal.close()
    events = list(gpt_runs.drive(run, Control(), resume=True))
    assert only(Finished, events)[0].reason == "steps"


def test_a_prompt_that_the_corpus_cannot_spell_is_refused_before_anything_starts(verse: Path) -> None:
    with pytest.raises(BadSpec, match=r"sample_prompt: character 'Ω'"):
        train(spec(verse, sample_prompt="aΩ"))
    assert train(spec(verse, sample_prompt="aΩ", sample_every=0, steps=2))[-1].reason == "steps"


def test_how_a_corpus_was_read_is_told_once_and_a_resumed_run_takes_its_own_copy(tmp_path: Path) -> None:
    path = tmp_path / "polish.txt"
    text = "Zażółć gęślą jaźń, wszyscy ludzie rodzą się wolni.\n" * 20
    path.write_bytes(text.encode("cp1250"))
    made = spec(path)
    run = new_run(made)
    first = train(made, run=run, on=stop_at(20))
    read_as, begins = notices("corpus", first)
    assert read_as.text == "polish.txt is read as cp1250"
    assert begins.text.startswith("polish.txt begins: Zażółć gęślą jaźń, ")
    assert (run.path / "corpus.txt").read_text("utf-8") == text
    path.unlink()
    assert not notices("corpus", train(made, run=run, resume=True))


def test_a_given_encoding_is_used_also_by_a_run_that_reads_its_corpus_again(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    text = "È più bello, perché no?\n" * 30
    path.write_bytes(text.encode("mac_roman"))
    made = spec(path, encoding="mac_roman")
    run = new_run(made)
    first = train(made, run=run, on=stop_at(20))
    (run.path / "corpus.txt").unlink()
    resumed = train(made, run=run, resume=True)
    assert only(Started, first)[0].fingerprint == only(Started, resumed)[0].fingerprint
    assert (run.path / "corpus.txt").read_text("utf-8") == text


def test_a_prompt_longer_than_the_context_is_told(verse: Path) -> None:
    (notice,) = notices("prompt", train(spec(verse, sample_prompt="ma re lo sel", steps=1)))
    assert notice.text == "the sample prompt is longer than the context: the model sees its last 8 characters"
    for fits in ({"sample_prompt": "ma re lo"}, {"sample_prompt": "ma re lo sel", "sample_every": 0}):
        assert not notices("prompt", train(spec(verse, steps=1, **fits)))


def test_a_device_that_is_not_there_is_refused(verse: Path) -> None:
    with pytest.raises(BadSpec, match="device: no CUDA device"):
        train(spec(verse, device="cuda"))


def test_what_was_cut_from_the_corpus_is_told(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(f"x\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n{VERSE}", encoding="utf-8")
    (notice,) = notices("corpus", train(spec(path, steps=1)))
    assert "Project Gutenberg's header" in notice.text


def test_too_little_memory_is_told_before_it_runs_out(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: 1000)
    (notice,) = notices("memory", train(spec(verse, steps=1)))
    assert "may run out" in notice.text


# -- messages ----------------------------------------------------------------------------------------------------------


def test_stop_ends_after_the_step_and_saves(verse: Path) -> None:
    run = new_run(spec(verse))
    events = train(spec(verse), run=run, on=stop_at(20))
    (finished,) = only(Finished, events)
    assert (finished.reason, finished.step) == ("stopped", 20)
    assert [path.name for path in store.checkpoints(run.checkpoints)] == ["step-000020"]


def test_stop_without_saving_leaves_no_checkpoint(verse: Path) -> None:
    run = new_run(spec(verse))
    control = Control()
    control.send(Stop(save=False))
    events = train(spec(verse), run=run, control=control)
    assert only(Finished, events)[0].reason == "stopped"
    assert store.checkpoints(run.checkpoints) == []


def test_a_pause_waits_takes_samples_and_changes_nothing(verse: Path, straight: list[Event]) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 20:
            control.send(Pause())
        if isinstance(event, Paused):
            control.send(SampleNow("ma", 7))
            control.send(Pause())  # a second one changes nothing
        if isinstance(event, SampleText) and event.done and "-" in event.sample:
            control.send(Continue())

    events = train(spec(verse), on=on)
    begin, end = (events.index(only(kind, events)[0]) for kind in (Paused, Continued))
    assert [type(event) for event in events[begin:end] if isinstance(event, Step | Evaluated)] == []
    assert samples(events)["20-1"][0] == "ma"
    assert len(samples(events)["20-1"][1]) == 7
    assert len(only(Paused, events)) == 1
    assert measured(events) == measured(straight)
    del (taken := samples(events))["20-1"]
    assert taken == samples(straight)


def test_a_pause_can_end_in_a_stop(verse: Path) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 10:
            control.send(Pause())
        if isinstance(event, Paused):
            control.send(Stop())

    run = new_run(spec(verse))
    (finished,) = only(Finished, train(spec(verse), run=run, on=on))
    assert (finished.reason, finished.step) == ("stopped", 10)
    assert len(store.checkpoints(run.checkpoints)) == 1


def test_save_now_pins_and_the_pinned_stays(verse: Path) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step in (10, 20, 30):
            control.send(SaveNow(pin=event.step == 10))

    run = new_run(spec(verse))
    events = train(spec(verse), run=run, on=on)
    assert [event.step for event in only(Saved, events)] == [10, 20, 30, 40]
    assert [path.name for path in store.checkpoints(run.checkpoints)] == ["step-000040", "step-000030", "step-000010"]
    assert [path.parent.name for path in run.checkpoints.glob("*/pinned")] == ["step-000010"]
    for event in only(Saved, events):
        assert event.bytes > 0
        assert Path(event.path).name == store.name_of(event.step)


def test_samples_that_are_asked_for(verse: Path, straight: list[Event]) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 10:
            for prompt in ("re", "€uro", "l’ove", ""):
                control.send(SampleNow(prompt, 5))

    events = train(spec(verse), on=on)
    asked = {name: taken for name, taken in samples(events).items() if "-" in name}
    assert sorted(prompt for prompt, _ in asked.values()) == ["\n", "l’ove", "re"]
    assert {len(text) for _, text in asked.values()} == {5}
    refused, mapped = notices("prompt", events)
    assert refused.level == "warning"
    assert "'€' (U+20AC EURO SIGN) at position 0" in refused.text
    assert mapped.text == """prompt: read '’' as "'\""""
    assert measured(events) == measured(straight)


def test_a_learning_rate_counts_from_the_next_step_on(verse: Path) -> None:
    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 10:
            control.send(SetLearningRate(5.0))
            control.send(SetLearningRate(0.125))

    events = train(spec(verse, schedule="constant", warmup=0, steps=20), on=on)
    refused, taken = notices("learning_rate", events)
    assert refused.level == "warning"
    assert taken.step == 10
    assert [event.learning_rate for event in only(Step, events)] == [1e-3] * 10 + [0.125] * 10


def test_a_stop_interrupts_a_long_evaluation_and_resuming_makes_up_for_it(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spec(verse, context=16)
    run = new_run(made)
    monkeypatch.setattr("engine.gpt.trainer.EVALUATION_TOKENS", 16)
    clock = iter(range(0, 10_000_000, 2))  # every look at the clock finds two seconds gone
    slow = SimpleNamespace(perf_counter=lambda: float(next(clock)), monotonic=time.monotonic)

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 10:
            monkeypatch.setattr(module, "time", slow)
        if isinstance(event, Progress) and event.what == "evaluating":
            control.send(SaveNow())
            control.send(Stop())

    events = train(made, run=run, on=on)
    assert (only(Finished, events)[0].reason, only(Finished, events)[0].step) == ("stopped", 10)
    assert [event.step for event in only(Evaluated, events)] == [0]
    monkeypatch.setattr(module, "time", time)
    rest = train(made, run=run, resume=True)
    undisturbed = train(made)
    assert [(e.step, e.val_loss, e.train_loss) for e in only(Evaluated, rest)] == [
        (e.step, e.val_loss, e.train_loss) for e in only(Evaluated, undisturbed)[1:]
    ]


# -- trouble -----------------------------------------------------------------------------------------------------------


def limit_memory(monkeypatch: pytest.MonkeyPatch, windows: int, message: str | None = None) -> None:
    """Let training run out of memory with more than ``windows`` at a time."""
    real = GPT.loss

    def loss(self: GPT, inputs: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        if self.training and len(inputs) > windows:
            if message:
                raise RuntimeError(message)
            raise torch.OutOfMemoryError("out of memory")
        return real(self, inputs, *rest, **named)

    monkeypatch.setattr(GPT, "loss", loss)


@pytest.mark.parametrize("message", [None, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"])
def test_running_out_of_memory_halves_once_and_learns_the_same(
    message: str | None, verse: Path, straight: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(monkeypatch, 2, message)
    run = new_run(spec(verse))
    events = train(spec(verse), run=run)
    (notice,) = notices("memory", events)
    assert notice.level == "warning"
    assert "taking 2 windows at a time" in notice.text
    assert only(Finished, events)[0].reason == "steps"
    assert [event.step for event in only(Step, events)] == list(range(1, 41))
    for one, other in zip(only(Step, events), only(Step, straight), strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    assert store.read_state(run.checkpoints / "step-000040")["position"]["micro_batch"] == 2


@pytest.mark.parametrize(("batch", "halvings"), [(4, 2), (1, 0)])
def test_out_of_memory_with_a_single_window_fails_with_advice(
    batch: int, halvings: int, verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(monkeypatch, 0)
    events: list[Event] = []
    with pytest.raises(TrainingFailed, match="lower the context or the width"):
        events.extend(module.train(spec(verse, batch=batch)))
    assert len(notices("memory", events)) == halvings


def test_another_error_is_not_mistaken_for_memory(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_memory(monkeypatch, 0, "shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(spec(verse))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = GPT.loss
    calls = 0

    def loss(self: GPT, *arguments: Any, **named: Any) -> torch.Tensor:
        nonlocal calls
        calls += self.training
        return real(self, *arguments, **named) * (math.nan if self.training and calls > 12 else 1.0)

    monkeypatch.setattr(GPT, "loss", loss)
    made = spec(verse, save_every=0)
    run = new_run(made)
    events = train(made, run=run)
    assert only(Step, events)[-1].step == 12
    (notice,) = notices("divergence", events)
    assert notice.level == "error"
    assert "step 13" in notice.text
    assert "its last good checkpoint is kept" in notice.text
    assert only(Finished, events)[0].reason == "diverged"
    assert isinstance(events[-1], Finished)
    trained = load(str(run.path), which="last")
    assert trained.step == 12
    assert all(parameter.isfinite().all() for parameter in trained.model.parameters())
    monkeypatch.setattr(GPT, "loss", real)
    assert measured(events + train(made, run=run, resume=True)) == measured(train(made))


def test_a_gradient_that_is_no_number_stops_too(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.nn.utils.get_total_norm
    norms = iter([*[1.0] * 5, math.inf])
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda grads: real(grads) * next(norms, 1.0))
    events = train(spec(verse))
    assert only(Step, events)[-1].step == 5
    assert only(Finished, events)[0].reason == "diverged"
    assert "there was no checkpoint yet" in notices("divergence", events)[0].text


def best_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let evaluations fall until ``step`` and rise after it."""

    def evaluate(self: Trainer) -> Iterator[tuple[int, float]]:
        yield 1, 1.0 + abs(self.position.step - step) / 100

    monkeypatch.setattr(Trainer, "evaluate", evaluate)


def test_patience_ends_a_run_that_gets_no_better(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best_at(20, monkeypatch)
    made = spec(verse, steps=200, patience=3)
    run = new_run(made)
    events = list(owner.record(run, module.train(made, run=run)))
    (finished,) = only(Finished, events)
    assert (finished.reason, finished.step, finished.best_val_loss) == ("early_stop", 50, 1.0)
    (notice,) = notices("early_stop", events)
    assert "best was 1.0000 at step 20" in notice.text
    assert {path.name for path in store.checkpoints(run.checkpoints)} == {"step-000020", "step-000050"}
    assert [event.best for event in only(Saved, events)] == [True, False]
    assert load(str(run.path), which="best").step == 20
    rest = train(made, run=run, resume=True)  # asked to go on, it does: another ``patience`` evaluations
    assert (only(Finished, rest)[0].reason, only(Finished, rest)[0].step) == ("early_stop", 80)


def test_a_remark_is_made_once_and_not_again_while_it_holds(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best_at(10, monkeypatch)
    events = train(spec(verse, steps=100))
    (remark,) = notices("overfitting", events)
    assert remark.step == 40
    assert "since step 10" in remark.text


def test_the_best_checkpoint_outlives_newer_ones(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best_at(10, monkeypatch)
    made = spec(verse, save_every=0)
    run = new_run(made)
    train(made, run=run)
    assert [path.name for path in store.checkpoints(run.checkpoints)] == ["step-000040", "step-000039", "step-000010"]


# -- saving ------------------------------------------------------------------------------------------------------------


def test_a_save_that_fails_is_told_and_tried_again_while_training_goes_on(
    verse: Path, straight: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = store.commit, []

    def commit(*arguments: Any) -> Path:
        calls.append(arguments[1])
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    def answered(saver: saving.Checkpointer, **_: bool) -> Iterator[Event]:
        return report(saver, wait=True)  # however busy the machine is, the disk has answered by the next look

    report = saving.Checkpointer.report
    monkeypatch.setattr(store, "commit", commit)
    monkeypatch.setattr(saving.Checkpointer, "report", answered)
    monkeypatch.setattr("engine.gpt.saving.BACK_OFF", (0.0,))

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Step) and event.step == 5:
            control.send(SaveNow(pin=False))

    made = spec(verse)
    run = new_run(made)
    events = train(made, run=run, on=on)
    (notice,) = notices("save", events)
    assert notice.level == "error"
    assert f"could not save step {calls[0]}: No space left on device" in notice.text
    assert "Training goes on" in notice.text
    first = only(Saved, events)[0]
    assert calls[0] <= first.step < 40  # long before the run's end
    assert events.index(notice) < events.index(first)
    assert measured(events) == measured(straight)
    assert (run.checkpoints / "step-000040").is_dir()


def test_failed_saves_wait_longer_each_time(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(*_: Any) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store, "commit", commit)
    monkeypatch.setattr("engine.gpt.saving.BACK_OFF", (0.0, 0.0, 7.0))
    made = spec(verse, save_every=0)
    events = train(made, run=new_run(made))
    waits = [notice.text.rsplit("in ", 1)[1] for notice in notices("save", events)]
    assert waits[:3] == ["0 s", "0 s", "7 s"]
    assert only(Finished, events)[0].step == 40


def test_a_damaged_checkpoint_is_passed_over_and_told(verse: Path) -> None:
    made = spec(verse, save_every=0)
    run = new_run(made)
    events = train(made, run=run, on=stop_at(20))
    with (run.checkpoints / "step-000020" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    rest = train(made, run=run, resume=True)
    (notice,) = notices("checkpoint", rest)
    assert notice.level == "warning"
    assert "step-000020/model.safetensors is damaged" in notice.text
    assert only(Started, rest)[0].step == 19
    assert measured(events)[:19] + measured(rest) == measured(train(made))


def test_without_a_whole_checkpoint_a_resume_is_refused(verse: Path) -> None:
    made = spec(verse)
    run = new_run(made)
    train(made, run=run, on=stop_at(20))
    (run.checkpoints / "step-000020" / "optimizer.safetensors").unlink()
    with pytest.raises(store.CheckpointError, match=r"no checkpoint of this run can be used.*optimizer.*is missing"):
        train(made, run=run, resume=True)


def test_without_any_checkpoint_a_resume_begins_at_the_beginning(verse: Path, straight: list[Event]) -> None:
    run = new_run(spec(verse))
    events = train(spec(verse), run=run, resume=True)
    assert "starting from the beginning" in notices("checkpoint", events)[0].text
    assert measured(events) == measured(straight)


def test_a_run_keeps_its_own_copy_of_the_corpus(verse: Path, straight: list[Event]) -> None:
    run = new_run(spec(verse))
    events = train(spec(verse), run=run, on=stop_at(20))
    verse.unlink()
    assert measured(events + train(spec(verse), run=run, resume=True)) == measured(straight)


def test_a_finished_run_goes_on_with_more_steps(verse: Path) -> None:
    run = new_run(spec(verse))
    constant = {"schedule": "constant", "warmup": 0}
    events = train(spec(verse, steps=20, **constant), run=run)
    rest = train(spec(verse, steps=40, **constant), run=run, resume=True)
    assert only(Started, rest)[0].step == 20
    assert measured(events + rest) == measured(train(spec(verse, **constant)))


def test_a_resume_may_change_the_learning_rate(verse: Path) -> None:
    run = new_run(spec(verse))
    constant = {"schedule": "constant", "warmup": 0}
    train(spec(verse, **constant), run=run, on=stop_at(20))
    rest = train(spec(verse, learning_rate=0.25, **constant), run=run, resume=True)
    assert {event.learning_rate for event in only(Step, rest)} == {0.25}


def test_a_checkpoint_of_another_shape_is_refused(verse: Path) -> None:
    run = new_run(spec(verse))
    train(spec(verse), run=run, on=stop_at(10))
    with pytest.raises(store.CheckpointError, match="do not fit the model"):
        train(spec(verse, width=32), run=run, resume=True)


def test_notices_have_known_levels(verse: Path) -> None:
    events = train(spec(verse, steps=5))
    assert {event.level for event in only(Notice, events)} <= {"info", "warning", "error"}


def test_a_last_save_that_fails_is_tried_again_before_the_run_ends(
    verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, left = store.commit, [2]

    def full_for_a_while(*arguments: Any, **options: Any) -> Path:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return commit(*arguments, **options)

    monkeypatch.setattr(store, "commit", full_for_a_while)
    monkeypatch.setattr(saving, "BACK_OFF", (0.05,))
    run = new_run(spec(verse))
    events = train(spec(verse, save_every=1000), run=run)
    assert len(notices("save", events)) == 2
    assert only(Finished, events)[0].reason == "steps"
    assert store.read_state(store.checkpoints(run.checkpoints)[0])["step"] == 40


def test_a_run_whose_last_save_never_succeeds_has_failed(verse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "commit", full)
    monkeypatch.setattr(saving, "BACK_OFF", (0.01,))
    events = train(spec(verse, save_every=1000), run=new_run(spec(verse)))
    assert only(Finished, events)[0].reason == "failed"
