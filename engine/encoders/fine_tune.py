"""Fine-tuning of a whole encoder to classify texts, with a fresh head, as ``transformers`` puts one on it."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.encoders import epochs
from engine.encoders.class_weights import balanced
from engine.encoders.epochs import Rows, Tuned
from engine.encoders.find import Encoder, of_folder
from engine.encoders.padding import in_batches
from engine.model_folder import replaced, write_tokenizer
from engine.runs.events import Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

HEAD = "head.safetensors"
POOL = 50  # batches whose rows are sorted by length together, so that little is padded and much stays random


@dataclass(frozen=True)
class TuneSettings(epochs.Settings):
    """How an encoder is fine-tuned to classify."""

    class_weights: bool = False
    """let every class count the same"""


def probabilities(
    tuned: Tuned, texts: Sequence[str], control: Control | None = None
) -> Generator[Event, None, NDArray[np.float64]]:
    """Probabilities of every class ``(len(texts), classes)``. Raises :class:`engine.runs.messages.Stopped`."""
    encoder = tuned.encoder
    ids = encoder.ids(list(texts), min(tuned.settings.length, encoder.positions))
    return _probabilities(tuned.model, ids, tuned.device, control)


def save(tuned: Tuned, folder: Path) -> None:
    """Write a folder that ``transformers`` loads: ``AutoModelForSequenceClassification`` and ``AutoTokenizer``."""
    save_model(tuned.encoder, tuned.model, folder)


def save_model(encoder: Encoder, model: Any, folder: Path, head: Mapping[str, Tensor] | None = None) -> None:
    """Replace ``folder`` by ``model`` and the tokenizer of ``encoder``, with a ``head`` of its own in ``HEAD``."""
    from safetensors.torch import save_file

    with replaced(folder) as temporary:
        model.save_pretrained(temporary)
        if head is not None:
            save_file({name: part.contiguous() for name, part in head.items()}, temporary / HEAD)
        write_tokenizer(encoder.tokenizer, temporary, encoder.positions, model.config.pad_token_id)


def load(folder: Path, length: int, device: str, opened: Callable[[Encoder], Any]) -> Tuned:
    """What :func:`save_model` wrote; ``opened`` gives the model. Raises :class:`NoEncoder` and :class:`OSError`."""
    encoder = of_folder(folder, folder.name, str(folder), str(folder))
    model = opened(encoder).eval().requires_grad_(False).to(device)
    return Tuned(model, encoder, device, epochs.Settings(length=length))


class Classifying(epochs.Training):
    """Trains on texts and their classes."""

    def __init__(
        self,
        train: Rows,
        held_out: Rows,
        encoder: Encoder,
        settings: TuneSettings,
        control: Control,
        device: str,
        *,
        classes: Sequence[str],
    ) -> None:
        import torch

        self.classes = list(classes)
        length = min(settings.length, encoder.positions)
        self.ids, self.labels = encoder.ids(list(train[0]), length), list(train[1])
        self.held_ids, self.held_labels = encoder.ids(list(held_out[0]), length), list(held_out[1])
        weights = balanced(self.labels, len(classes)).to(device) if settings.class_weights else None
        self.cross_entropy = torch.nn.CrossEntropyLoss(weights)
        super().__init__(encoder, settings, control, device)

    def open(self) -> Any:
        return self.encoder.place(self.encoder.open_classifier(self.classes), self.device)

    def batches(self, epoch: int) -> list[list[int]]:
        return _batches([len(ids) for ids in self.ids], self.settings.rows, f"{self.settings.seed}/{epoch}")

    def loss(self, batch: Sequence[int]) -> Tensor:
        import torch

        from engine.device import autocast, send

        with autocast(self.device):
            ids, pad = [self.ids[row] for row in batch], self.model.config.pad_token_id
            logits = self.micro_batches.forward(partial(_logits, self.model), ids, pad)
            gold = send(torch.tensor([self.labels[row] for row in batch]), self.device)
            loss: Tensor = self.cross_entropy(logits.float(), gold)
        return loss

    def judge(self) -> Generator[Event, None, tuple[float, float]]:
        import numpy as np

        found = yield from _probabilities(self.model, self.held_ids, self.device, self.control)
        gold = np.array(self.held_labels)
        loss = float(-np.log(np.clip(found[np.arange(len(gold)), gold], 1e-15, 1)).mean())
        return loss, float((found.argmax(1) == gold).mean())


def _probabilities(
    model: Any, ids: Sequence[Sequence[int]], device: str, control: Control | None
) -> Generator[Event, None, NDArray[np.float64]]:
    logits = yield from in_batches(partial(_logits, model), ids, device, control, model.config.pad_token_id)
    result: NDArray[np.float64] = logits.cpu().double().softmax(1).numpy()  # not every device has float64
    return result


def _logits(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits


def _batches(lengths: Sequence[int], rows: int, seed: str) -> list[list[int]]:
    """Rows of every batch of an epoch: random, but of like length within a batch."""
    rng = random.Random(seed)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    result = []
    for start in range(0, len(order), rows * POOL):
        pool = sorted(order[start : start + rows * POOL], key=lambda row: lengths[row])
        result += [pool[place : place + rows] for place in range(0, len(pool), rows)]
    rng.shuffle(result)
    return result
