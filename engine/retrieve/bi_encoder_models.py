"""What a bi-encoder trains: a matrix on frozen features, or the encoder itself; queries and documents go through it.

Vectors are of unit length, ``(texts, width)``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from engine.encoders.epoch_checkpoints import weights_of
from engine.encoders.padding import MicroBatches, in_batches
from engine.retrieve.rankers import QUERY_TOKENS
from engine.retrieve.training_data import TrainingInputs
from engine.runs.events import Event
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    from torch import Tensor


class Projection:
    """One matrix for queries and documents, on frozen unit vectors."""

    def __init__(self, inputs: TrainingInputs, pool: Sequence[int]) -> None:
        import torch

        self._inputs, self._pool = inputs, pool
        width = inputs.frozen.shape[1]
        self._eye = torch.eye(width, device=inputs.device)
        # The difference to the identity is what is trained, so that weight decay pulls towards the frozen encoder.
        self._change = torch.nn.Parameter(torch.zeros(width, width, device=inputs.device))
        self.model = torch.nn.ParameterList([self._change])

    def queries(self, names: Sequence[str]) -> Tensor:
        import numpy as np

        return self._through(np.stack([self._inputs.asked[name] for name in names]))

    def documents(self, rows: Sequence[int]) -> Tensor:
        return self._through(self._inputs.frozen[list(rows)])

    def query_vectors(self, names: Sequence[str], control: Control) -> Generator[Event, None, Any]:
        import torch

        yield from ()
        with torch.no_grad():
            return self.queries(names).cpu().numpy()

    def pool_vectors(self, control: Control) -> Generator[Event, None, Any]:
        import numpy as np
        import torch

        found = np.empty((len(self._pool), self._inputs.frozen.shape[1]), np.float32)
        with torch.no_grad():
            for start in range(0, len(self._pool), 8192):
                rows = self._pool[start : start + 8192]
                found[start : start + len(rows)] = self.documents(rows).cpu().numpy()
                yield from handle_messages(control, 0)
        return found

    def tensors(self) -> dict[str, Any]:
        return {"weight": (self._eye + self._change).detach().to("cpu", copy=True)}

    def _through(self, rows: Any) -> Tensor:
        import numpy as np
        import torch
        from torch.nn import functional

        from engine.device import send

        given = send(torch.from_numpy(np.ascontiguousarray(rows, np.float32)), self._inputs.device)
        return functional.normalize(given @ (self._eye + self._change).T, dim=1)


class Whole:
    """The encoder itself, for queries and documents alike, with mean pooling."""

    def __init__(self, inputs: TrainingInputs, pool: Sequence[int], micro_batches: MicroBatches) -> None:
        self._collection, self._encoder, self._device = inputs.collection, inputs.encoder, inputs.device
        self._pool, self._length = pool, min(inputs.settings.length, inputs.encoder.positions)
        self.model = inputs.encoder.open(inputs.device)
        self.model.requires_grad_(True)
        self._pad = int(getattr(self.model.config, "pad_token_id", 0) or 0)
        self._micro_batches = micro_batches

    def queries(self, names: Sequence[str]) -> Tensor:
        return self._micro_batches.forward(self._pooled, self._query_ids(names), self._pad)

    def documents(self, rows: Sequence[int]) -> Tensor:
        return self._micro_batches.forward(self._pooled, self._ids(rows), self._pad)

    def query_vectors(self, names: Sequence[str], control: Control) -> Generator[Event, None, Any]:
        return (yield from self._vectors(self._query_ids(names), control))

    def pool_vectors(self, control: Control) -> Generator[Event, None, Any]:
        return (yield from self._vectors(self._ids(self._pool), control))

    def _vectors(self, ids: Sequence[Sequence[int]], control: Control) -> Generator[Event, None, Any]:
        found = yield from in_batches(self._pooled, ids, self._device, control, self._pad)
        return found.cpu().numpy()

    def tensors(self) -> dict[str, Any]:
        return weights_of(self.model)

    def _query_ids(self, names: Sequence[str]) -> list[list[int]]:
        return self._encoder.ids([self._collection.queries[name] for name in names], QUERY_TOKENS)

    def _ids(self, rows: Sequence[int]) -> list[list[int]]:
        return self._encoder.ids([self._collection.documents[row] for row in rows], self._length)

    def _pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        from torch.nn import functional

        from engine.device import autocast

        with autocast(self._device):
            top = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        kept = mask[..., None].to(top.dtype)
        return functional.normalize((top * kept).sum(1) / kept.sum(1), dim=1)
