"""A training step as one CUDA graph: the whole of it is captured once and replayed for every later step.

A step of a small model is some 600 operations, whose launches take longer than their work. A graph is one launch. What
differs from step to step lies in tensors that stay where they are (see :meth:`Trainer.arithmetic`) and in the seed of
torch's generator, which is set before each replay: a replay draws the masks that an ordinary step draws. What a step
leaves behind between its operations, autocast's copies of the weights too, it makes and drops itself. Nothing is
computed during a capture, so one that fails changes nothing.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from engine.gpt.trainer import Trainer
from engine.runs.events import Notice

WARM_UP = 2  # ordinary steps before a capture, in which libraries allocate what they keep for later
AHEAD = 16  # steps that the host launches ahead of the GPU: with more a message would wait for all of them
Results: TypeAlias = tuple[Tensor, Tensor]


class CapturedStep:
    """Called in place of a trainer's ``step``: on a GPU, in one process, the step is captured and replayed.

    After ``WARM_UP`` ordinary steps; again when the micro-batch or the batch has changed, or when optimizer state was
    loaded. Where a capture fails, steps stay ordinary ones until then. On other devices and of several ranks every
    step is an ordinary one.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._captures = _can_capture(trainer)
        self._graph: Graph | None = None
        self._shape = (0, 0)
        self._state: object = None
        self._left = 0
        """ordinary steps until the capture"""
        self._notices: list[Notice] = []

    def __call__(self) -> tuple[Tensor, Tensor, float]:
        """As :meth:`Trainer.step`, of rank 0."""
        trainer = self._trainer
        if not self._captures:
            return trainer.step()
        shape, state = (trainer.position.micro_batch, trainer.windows.batch), self._first_state()
        if shape != self._shape or (self._graph and self._graph.captured and state is not self._state):
            self._graph = None  # before the next one takes memory
            self._graph, self._shape, self._left = Graph(trainer.placement.device), shape, WARM_UP
        if self._left == 0 and self._graph and not self._graph.captured:
            self._capture(self._graph)
        return trainer.step(run=self._run)

    def notices(self) -> Iterator[Notice]:
        """What the user should know, once."""
        while self._notices:
            yield self._notices.pop(0)

    def _run(self) -> Results:
        if self._graph is None:
            return self._trainer.arithmetic()
        if self._graph.captured:
            return self._graph.replay()
        results = self._graph.rehearse(self._trainer.arithmetic)
        self._left -= 1
        return results

    def _capture(self, graph: Graph) -> None:
        optimizer = self._trainer.optimizer
        optimizer.zero_grad(set_to_none=True)  # gradients are to lie in the graph's own memory
        for group in optimizer.param_groups:
            group["capturable"] = True
        try:
            graph.capture(self._trainer.arithmetic)
            self._state = self._first_state()
        except Exception as error:  # whatever it was, ordinary steps remain
            optimizer.zero_grad(set_to_none=True)
            self._graph = None
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            text = f"the training step could not be captured as a CUDA graph, so steps take longer ({why})"
            self._notices.append(Notice(text, "warning", "captured", self._trainer.position.step))
        finally:
            for group in optimizer.param_groups:
                group["capturable"] = False

    def _first_state(self) -> object:
        """What the optimizer holds of one parameter: another object after state was loaded."""
        return next(iter(self._trainer.optimizer.state.values()), None)


class Graph:
    """Work on a GPU: rehearsed, captured, replayed. Its results are copies, its other tensors stay where they are."""

    def __init__(self, device: torch.device) -> None:
        self.captured = False
        self._device = device
        self._stream = _stream(device)
        self._graph = torch.cuda.CUDAGraph()
        self._results: Results | None = None
        self._launched: deque[torch.cuda.Event] = deque()

    def rehearse(self, work: Callable[[], Results]) -> Results:
        """Do the work as it is done in a capture: on a stream of its own."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            self._results = work()
        current.wait_stream(self._stream)
        return self._copies()

    def capture(self, work: Callable[[], Results]) -> None:
        """Capture the work without doing it. Raises whatever it does, and what CUDA does not capture."""
        self._results = None
        try:
            with (
                torch.cuda.device(self._device),
                torch.cuda.stream(self._stream),  # left also where the capture cannot be ended
                # Another thread may use the device meanwhile: only this one's calls belong into the graph.
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._results = work()
        except BaseException:
            # A capture that CUDA has broken off leaves torch's generator in its capturing state: give it another.
            fresh = torch.Generator(self._device)
            torch.cuda.default_generators[self._device.index].graphsafe_set_state(fresh.graphsafe_get_state())
            raise
        self.captured = True

    def replay(self) -> Results:
        """Launch the work; waits only for work launched ``AHEAD`` times ago."""
        self._graph.replay()
        results = self._copies()
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record()
        self._launched.append(event)
        if len(self._launched) > AHEAD:
            self._launched.popleft().synchronize()
        return results

    def _copies(self) -> Results:
        assert self._results is not None
        loss, norm = self._results
        return loss.clone(), norm.clone()


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all graphs and rehearsals: libraries keep memory for each stream that they have worked on."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _can_capture(trainer: Trainer) -> bool:
    return trainer.placement.device.type == "cuda" and trainer.ranks.world == 1
