"""Several sequences that begin alike, decoded together: every step reads the weights once for all of them."""

from __future__ import annotations

import abc
import copy
from typing import Any

import torch
from torch import Tensor

from engine.gpt.model import GPT, Cache
from engine.lm.llama import Llama

STRIDE = 64  # positions: a cache has a multiple of so many, which kernels of attention want of a mask
WARM = 3  # steps before the capture, in which the libraries allocate what they need


class StaticStep:
    """``GPT.step`` on tensors that stay where they are. On a CPU it just runs, which is how it is tested."""

    def __init__(self, gpt: GPT | Llama, cache: Cache) -> None:
        """The cache must hold nothing yet: what is done to capture the step is written into its beginning."""
        device, rows = gpt.tokens.weight.device, cache[0][0].shape[0]
        self._gpt, self._cache = gpt, cache
        self._ids = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._position = torch.zeros(1, dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = self._run()
        if device.type == "cuda":
            self._capture()

    def __call__(self, ids: Tensor, position: int) -> Tensor:
        """Logits ``(rows, 1, vocabulary)`` after the ids ``(rows, 1)`` at ``position``."""
        self._ids.copy_(ids)
        self._position.fill_(position)
        if self._graph is None:
            return self._run()
        self._graph.replay()
        return self._logits.clone()

    def _run(self) -> Tensor:
        return self._gpt.step(self._ids, self._cache, self._position)

    def _capture(self) -> None:
        device = self._ids.device
        aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._run()
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the device meanwhile: only this one's calls belong into the graph.
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._logits = self._run()
        self._graph = graph


class Batch(abc.ABC):
    """Sequences of one length, each with keys and values of its own. Made by :meth:`LanguageModel.branch`."""

    def __init__(self, length: int) -> None:
        self.length = length
        """tokens that every row holds"""

    def logits(self, ids: Tensor) -> Tensor:
        """Logits ``(rows, vocabulary)`` after the last of ``ids`` ``(rows, n)``, which the rows then hold."""
        found = self._logits(ids)[:, -1]
        self.length += ids.shape[1]
        return found

    @abc.abstractmethod
    def keep(self, rows: list[int]) -> None:
        """Let go of all rows but these."""

    @abc.abstractmethod
    def restart(self) -> None:
        """Let every row hold nothing."""

    @abc.abstractmethod
    def _logits(self, ids: Tensor) -> Tensor:
        """Logits ``(rows, n or 1, vocabulary)``."""


class OwnBatch(Batch):
    """With a network of the project. A captured step goes on computing all rows: those let go of are passed over."""

    def __init__(self, gpt: GPT | Llama, held: Cache, length: int, rows: int, room: int, *, static: bool) -> None:
        """``rows`` that begin with the first ``length`` positions of ``held``, with space for ``room`` or more."""
        super().__init__(length)
        self._gpt, self._rows = gpt, rows
        self._cache = gpt.new_cache(rows, room=-(-room // STRIDE) * STRIDE)
        self._step = StaticStep(gpt, self._cache) if static else None
        self._live: Tensor | None = None
        for pair, before in zip(self._cache, held, strict=True):
            for ours, theirs in zip(pair, before, strict=True):
                ours[:, :, :length] = theirs[:, :, :length]

    def keep(self, rows: list[int]) -> None:
        if self._step is None:
            self._cache = [(keys[rows], values[rows]) for keys, values in self._cache]
        else:
            chosen = torch.tensor(rows, device=self._cache[0][0].device)
            self._live = chosen if self._live is None else self._live[chosen]

    def restart(self) -> None:
        self.length = 0

    def _logits(self, ids: Tensor) -> Tensor:
        if self._live is not None:
            given, ids = ids, ids.new_zeros(self._rows, ids.shape[1])
            ids[self._live] = given
        if self._step is not None and ids.shape[1] == 1:
            found = self._step(ids, self.length)
        else:
            found = self._gpt(ids, self._cache, self.length, last=True)
        return found if self._live is None else found[self._live]


class ForeignBatch(Batch):
    """With a model of ``transformers`` whose cache keeps all keys and values."""

    def __init__(self, model: Any, held: Any, length: int, rows: int, given: dict[str, int], argument: str) -> None:
        """``held`` is a cache of ``length`` tokens, ``given`` what the model is called with beside ids and cache.

        The cache is the model's ``argument``.
        """
        super().__init__(length)
        self._model = model
        self._cache = copy.deepcopy(held)
        self._given = {**given, argument: self._cache}
        self._cache.batch_repeat_interleave(rows)

    def keep(self, rows: list[int]) -> None:
        self._cache.batch_select_indices(torch.tensor(rows, device=self._model.device))

    def restart(self) -> None:
        self._cache.crop(-self.length)
        self.length = 0

    def _logits(self, ids: Tensor) -> Tensor:
        out = self._model(input_ids=ids, use_cache=True, **self._given)
        logits: Tensor = out.logits
        return logits
