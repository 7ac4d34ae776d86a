"""One decoding step as a CUDA graph: one launch for a token in place of some two hundred."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.gpt import GPT, Cache

WARM = 3  # steps before the capture, in which the libraries allocate what they need


class StaticStep:
    """``GPT.step`` on tensors that stay where they are. On a CPU it just runs, which is how it is tested."""

    def __init__(self, gpt: GPT, cache: Cache) -> None:
        """The cache must hold nothing yet: what is done to capture the step is written into its beginning."""
        device = gpt.tokens.weight.device
        self._gpt, self._cache = gpt, cache
        self._ids = torch.zeros(1, 1, dtype=torch.long, device=device)
        self._position = torch.zeros(1, dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = self._run()
        if device.type == "cuda":
            self._capture()

    def __call__(self, ids: Tensor, position: int) -> Tensor:
        """Logits ``(1, 1, vocabulary)`` after the id ``(1, 1)`` at ``position``."""
        self._ids.copy_(ids)
        self._position.fill_(position)
        if self._graph is None:
            return self._run()
        self._graph.replay()
        return self._logits.clone()

    def _run(self) -> Tensor:
        return self._gpt.step(self._ids, self._cache, self._position)

    def _capture(self) -> None:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the device meanwhile: only this one's calls belong into the graph.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._logits = self._run()
        self._graph = graph
