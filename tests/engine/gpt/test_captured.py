"""Captured steps equal ordinary ones to the bit, with operations recorded on the CPU in the place of a CUDA graph.

As a graph does, a recording repeats the same operations on the same memory: whatever else an operation was given is
what it was when the step was captured.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_resume import assert_same
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from workbench import FAST, KARPATHY, NANO, VERSE, new_run, notices, only, spec, stop_at, train

from checkpoints import state
from data.corpus import from_text
from engine.device import place
from engine.gpt import captured
from engine.gpt.captured import AHEAD, WARM_UP, CapturedStep, Results
from engine.gpt.trainer import Trainer
from engine.ranks import Ranks
from engine.runs.events import Finished, Step
from engine.runs.messages import SetLearningRate

CORPUS = from_text(VERSE, name="verse", source="test")
SHAPES = {
    "nano": NANO, "karpathy": KARPATHY, "clip": {**NANO, "clip": 0.01}, "cosine": {**KARPATHY, "schedule": "cosine"},
    "gpt2": {**KARPATHY, "activation": "gelu", "tied": True, "batch": 6},
    "fast": {**FAST, "dropout": 0.1},
}  # fmt: skip


def make(**changes: Any) -> Trainer:
    made = spec("verse", **changes)
    return Trainer(made, CORPUS, place(made.device, made.precision, made.threads))


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, tuple | list):
        return [one for part in value for one in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []


class Operations(TorchDispatchMode):
    """Records operations while it is entered, and repeats them in the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def repeat(self) -> None:
        for func, args, kwargs, result in self.done:
            given = {one.untyped_storage().data_ptr() for one in _tensors([*args, *kwargs.values()])}
            for one, again in zip(_tensors(result), _tensors(func(*args, **kwargs)), strict=True):
                if one.untyped_storage().data_ptr() not in given:  # neither a view nor written in place
                    one.copy_(again)


class Recording:
    """In the place of :class:`captured.Graph`."""

    made: list[Recording]
    failure: Exception | None

    def __init__(self, device: torch.device) -> None:
        self.captured, self.replays, self.rehearsals = False, 0, 0
        self.operations = Operations()
        self.made.append(self)

    def rehearse(self, work: Callable[[], Results]) -> Results:
        self.rehearsals += 1
        return work()

    def capture(self, work: Callable[[], Results]) -> None:
        trainer: Trainer = work.__self__  # type: ignore[attr-defined]
        assert all(group["capturable"] for group in trainer.optimizer.param_groups)
        assert all(parameter.grad is None for parameter in trainer.model.parameters())
        parts = [*trainer.model.parameters(), *_tensors([[*s.values()] for s in trainer.optimizer.state.values()])]
        before = [part.detach().clone() for part in parts]
        torch.manual_seed(12345)
        with self.operations:
            self.results = work()
        with torch.no_grad():  # a capture computes nothing
            for part, was in zip(parts, before, strict=True):
                part.copy_(was)
        if self.failure is not None:
            raise self.failure
        self.captured = True

    def replay(self) -> Results:
        self.replays += 1
        self.operations.repeat()
        loss, norm = self.results
        return loss.clone(), norm.clone()


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    Recording.made, Recording.failure = [], None
    monkeypatch.setattr(captured, "Graph", Recording)
    monkeypatch.setattr(captured, "_can_capture", lambda trainer: True)
    return Recording.made


def contents(trainer: Trainer) -> dict[str, bytes]:
    return state.capture(trainer.model, trainer.optimizer).encode()


def run(
    trainer: Trainer,
    step: Callable[[], tuple[Tensor, Tensor, float]],
    actions: Mapping[int, Callable[[Trainer], object]],
) -> list[tuple[float, float, float]]:
    """Loss, norm and rate of every step; they are read at the end."""
    done = []
    for number in range(trainer.position.step, 40):
        if number in actions:
            actions[number](trainer)
        done.append(step())
    return [(loss.item(), norm.item(), rate) for loss, norm, rate in done]


def evaluate(trainer: Trainer) -> None:
    assert list(trainer.evaluate())
    assert not trainer.model.training


def slower(trainer: Trainer) -> None:
    trainer.position.learning_rate = 3e-4


def halve(trainer: Trainer) -> None:
    trainer.take_micro_batch(2)


def restore(trainer: Trainer) -> None:
    held = contents(trainer)
    state.restore_model(trainer.model, held)
    state.restore_optimizer(trainer.model, trainer.optimizer, held)


@pytest.mark.parametrize("micro", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_replayed_steps_are_ordinary_ones(shape: str, micro: int, recordings: list[Recording]) -> None:
    plain, replayed = make(**SHAPES[shape]), make(**SHAPES[shape])
    for trainer in (plain, replayed):
        trainer.position.micro_batch = micro or trainer.spec.batch
    actions = {WARM_UP: evaluate, 15: slower, 30: evaluate}  # right before the capture, and between replays
    wanted = run(plain, plain.step, actions)
    assert len(set(wanted)) == 40
    assert run(replayed, CapturedStep(replayed), actions) == wanted
    assert contents(replayed) == contents(plain)
    (one,) = recordings  # also after a changed rate
    assert (one.rehearsals, one.replays) == (WARM_UP, 40 - WARM_UP)


def test_another_shape_and_loaded_state_are_captured_again(recordings: list[Recording]) -> None:
    plain, replayed = make(**KARPATHY), make(**KARPATHY)
    actions = {10: halve, 20: restore}
    wanted = run(plain, plain.step, actions)
    assert run(replayed, CapturedStep(replayed), actions) == wanted
    assert contents(replayed) == contents(plain)
    assert [one.replays for one in recordings] == [10 - WARM_UP, 10 - WARM_UP, 20 - WARM_UP]


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted"), torch.OutOfMemoryError("out of memory")])
def test_a_capture_that_fails_costs_nothing(error: Exception, recordings: list[Recording]) -> None:
    Recording.failure = error
    plain, tried = make(**KARPATHY), make(**KARPATHY)
    wanted = run(plain, plain.step, {20: halve})
    step = CapturedStep(tried)
    told: list[int] = []

    def note(trainer: Trainer) -> None:
        told.extend(len(list(step.notices())) for _ in range(2))

    def note_and_halve(trainer: Trainer) -> None:
        note(trainer)
        halve(trainer)

    assert run(tried, step, {10: note, 20: note_and_halve, 39: note}) == wanted
    assert told == [1, 0, 0, 0, 1, 0]  # once for a shape
    assert [(one.rehearsals, one.replays) for one in recordings] == 2 * [(WARM_UP, 0)]
    assert contents(tried) == contents(plain)
    assert not any(group["capturable"] for group in tried.optimizer.param_groups)


@pytest.mark.usefixtures("known_peak")
def test_the_memory_of_a_capture_that_ran_out_of_it_is_free_at_once(
    recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(**NANO)
    step = CapturedStep(trainer)
    for _ in range(WARM_UP):
        step()
    graph, loss = weakref.ref(recordings.pop()), trainer.model.loss

    def short(*arguments: Any, **named: Any) -> None:
        monkeypatch.setattr(trainer.model, "loss", loss)
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(trainer.model, "loss", short)
    gc.disable()
    try:
        step()
        assert graph() is None
    finally:
        gc.enable()
    assert [one.kind for one in step.notices()] == ["captured"]


def test_a_training_says_once_that_its_step_was_not_captured(verse: Path, recordings: list[Recording]) -> None:
    Recording.failure = RuntimeError("operation not\npermitted when stream is capturing")
    made = spec(verse)
    events = train(made)
    assert only(Finished, events)[0].reason == "steps"
    (notice,) = notices("captured", events)
    assert "operation not permitted" in notice.text
    assert notice.level == "warning"


@pytest.mark.usefixtures("known_peak")
@pytest.mark.parametrize("resumed", ["captured", "ordinary"])
def test_a_captured_run_is_the_ordinary_one_also_when_resumed(
    resumed: str, verse: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower_then_stop(event: Any, control: Any) -> None:
        if isinstance(event, Step) and event.step == 10:
            control.send(SetLearningRate(3e-4))
        if at:
            stop_at(at)(event, control)

    made = spec(verse, **KARPATHY)
    straight, interrupted = new_run(made), new_run(made)
    at = 0
    with monkeypatch.context() as patch:
        patch.setattr(captured, "_can_capture", lambda trainer: False)
        whole = train(made, run=straight, on=slower_then_stop)
    assert not recordings
    at = 20
    first = train(made, run=interrupted, on=slower_then_stop)
    if resumed == "ordinary":
        monkeypatch.setattr(captured, "_can_capture", lambda trainer: False)
    rest = train(made, run=interrupted, resume=True)
    assert_same(whole, first + rest, (straight, interrupted), 40)
    assert len(recordings) == (2 if resumed == "captured" else 1)
    assert all(one.replays for one in recordings)


@pytest.mark.usefixtures("known_peak")
def test_memory_that_runs_out_before_a_capture_halves_the_micro_batch(
    verse: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Trainer._backward

    def short(self: Trainer) -> Tensor:
        if self.position.micro_batch > 2:
            raise torch.OutOfMemoryError("out of memory")
        return backward(self)

    monkeypatch.setattr(Trainer, "_backward", short)
    events = train(spec(verse))
    assert len(notices("memory", events)) == 1
    assert not notices("captured", events)
    assert [one.replays for one in recordings] == [0, 40 - WARM_UP]


def test_only_one_process_with_cuda_captures() -> None:
    def can(device: str, world: int) -> bool:
        there = SimpleNamespace(placement=SimpleNamespace(device=torch.device(device)), ranks=Ranks(0, world))
        return captured._can_capture(there)  # type: ignore[arg-type]

    assert can("cuda:1", 1)
    assert not any([can("cuda:0", 2), can("cpu", 1), can("mps", 1)])
    plain, called = make(**KARPATHY), make(**KARPATHY)
    assert run(called, CapturedStep(called), {}) == run(plain, plain.step, {})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What :class:`captured.Graph` asks of CUDA, which is not there; a capture cannot be ended."""
    made: list[str] = []

    class Named:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.name = f"{type(self).__name__} {sum(call.startswith(type(self).__name__) for call in made)}"
            made.append(self.name)

        def __getattr__(self, method: str) -> Callable[..., None]:
            return lambda *_: made.append(f"{method} {self.name}")

        def __enter__(self) -> None:
            made.append(f"enter {self.name}")

        def __exit__(self, *_: Any) -> None:
            made.append(f"leave {self.name}")

    class Capture(Named):
        def __exit__(self, *_: Any) -> None:
            raise RuntimeError("operation failed due to a previous error during capture")

    kinds = {"Stream": Named, "CUDAGraph": Named, "Event": Named, "graph": Capture, "stream": Named, "device": Named}
    for name, kind in kinds.items():
        monkeypatch.setattr(torch.cuda, name, type(name, (kind,), {}))
    monkeypatch.setattr(torch.cuda, "default_generators", [type("generator", (Named,), {})()])
    monkeypatch.setattr(torch, "Generator", type("Generator", (Named,), {}))
    monkeypatch.setattr(torch.cuda, "caching_allocator_alloc", lambda size, _: made.append(f"take {size}"))
    monkeypatch.setattr(torch.cuda, "caching_allocator_delete", lambda _: made.append("give back"))
    captured._stream.cache_clear()
    yield made
    captured._stream.cache_clear()


def test_the_host_is_a_few_replays_ahead_and_not_more(calls: list[str]) -> None:
    graph = captured.Graph(torch.device("cuda", 0))
    graph._results = torch.tensor(1.0), torch.tensor(2.0)
    given = []
    for number in range(2 * AHEAD):
        graph._results[0].fill_(number)
        given.append(graph.replay()[0])
    assert [int(loss) for loss in given] == list(range(2 * AHEAD))  # copies
    assert calls.count("replay CUDAGraph 0") == 2 * AHEAD
    for number in range(2 * AHEAD):
        waited = f"synchronize Event {number}"
        assert (waited in calls) == (number < AHEAD)
        if waited in calls:
            assert calls.index(waited) > calls.index(f"record Event {number + AHEAD}")


def test_a_capture_that_cannot_be_ended_leaves_stream_and_generator_behind(calls: list[str]) -> None:
    graph = captured.Graph(torch.device("cuda", 0))
    with pytest.raises(RuntimeError, match="previous error during capture"):
        graph.capture(lambda: (torch.tensor(1.0), torch.tensor(2.0)))
    assert not graph.captured
    assert "leave stream 0" in calls
    assert "graphsafe_set_state generator 0" in calls


def test_memory_is_looked_for_before_a_capture(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(size: int, _: torch.device) -> None:
        raise torch.OutOfMemoryError(f"no {size} bytes")

    graph = captured.Graph(torch.device("cuda", 0))
    graph._need = 1000
    with pytest.raises(RuntimeError):
        graph.capture(lambda: (torch.tensor(1.0), torch.tensor(2.0)))
    assert calls.index("take 1250") < calls.index("give back") < calls.index("enter graph 0")
    monkeypatch.setattr(torch.cuda, "caching_allocator_alloc", full)
    calls.clear()
    with pytest.raises(torch.OutOfMemoryError, match="1250 bytes"):
        graph.capture(lambda: (torch.tensor(1.0), torch.tensor(2.0)))
    assert not [call for call in calls if call.startswith("enter")]
