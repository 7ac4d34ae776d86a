"""Fine-tuning of a whole encoder to rank choices: every (question, choice) pair is read as one text and gets a score.

Cross-entropy over the choices of an item, as in the multiple-choice models of ``transformers``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from data.choices import Item
from engine.choose.scorer import pair_texts
from engine.encoders import epochs, fine_tune
from engine.encoders.epochs import Rows, Tuned
from engine.encoders.find import Encoder, NoEncoder
from engine.encoders.padding import in_batches
from engine.runs.events import Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


@dataclass(frozen=True)
class TuneRankSettings(epochs.Settings):
    """How an encoder is fine-tuned to rank."""

    CODE: ClassVar[tuple[Any, ...]] = (1, "rank")
    PEAKS: ClassVar[tuple[float, float]] = (2e-5, 1e-4)

    epochs: int = 3
    rows: int = 16
    """items in a batch, each with all its choices"""
    warmup: float = 0.1


def scores(tuned: Tuned, items: Sequence[Item], control: Control) -> Generator[Event, None, NDArray[np.float64]]:
    """A score for each choice ``(items, choices)``, ``-inf`` where there is none. Raises ``Stopped``."""
    return _scores(tuned.model, _ids(items, tuned.encoder, tuned.settings.length), items, tuned.device, control)


def save(tuned: Tuned, folder: Path) -> None:
    """Write encoder (a folder that ``transformers`` loads) and head (``head.safetensors``)."""
    fine_tune.save_model(tuned.encoder, tuned.model.encoder, folder, tuned.model.out.state_dict())


USE = """
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder = "."  # this one
tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
head = load_file(f"{folder}/head.safetensors")
question, choices = "Where do fish live?", ["in trees", "in water"]
texts = tokenizer([f"{question} {choice}" for choice in choices], padding=True, truncation=True, return_tensors="pt")
mask = texts["attention_mask"]
with torch.inference_mode():
    top = encoder(input_ids=texts["input_ids"], attention_mask=mask).last_hidden_state
scores = ((top * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)) @ head["weight"].T + head["bias"]
print(choices[scores.argmax()])
"""
"""how what :func:`save` wrote is used without this program"""


def load(folder: Path, length: int, device: str = "cpu") -> Tuned:
    """The ranker that :func:`save` wrote. Raises :class:`engine.encoders.find.NoEncoder` and :class:`OSError`."""

    def opened(encoder: Encoder) -> nn.Module:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        model: Any = with_head(encoder, device)
        try:
            model.out.load_state_dict(load_file(folder / fine_tune.HEAD))
        except (SafetensorError, RuntimeError) as error:
            raise NoEncoder(f"{folder}: the head cannot be read ({str(error).splitlines()[0]})") from None
        return cast("nn.Module", model)

    return fine_tune.load(folder, length, device, opened)


def with_head(encoder: Encoder, device: str) -> nn.Module:
    """The encoder under a fresh linear layer that gives a text its score. Raises :class:`NoEncoder`."""
    from torch import nn

    class Scorer(nn.Module):
        """The mean of the last layer's tokens, then one number."""

        def __init__(self, inner: Any, width: int) -> None:
            super().__init__()
            self.encoder, self.drop, self.out = inner, nn.Dropout(0.1), nn.Linear(width, 1)

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            """Token ids and mask ``(texts, tokens)`` to scores ``(texts,)``."""
            top = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask[..., None].to(top.dtype)
            scores: Tensor = self.out(self.drop((top * weights).sum(1) / weights.sum(1)))[..., 0]
            return scores.float()

    scorer = Scorer(encoder.open("cpu", "float32").requires_grad_(True), encoder.width)
    return cast("nn.Module", encoder.place(scorer, device))


class Ranking(epochs.Training):
    """Trains on items and the indices of their right choices."""

    def __init__(
        self, train: Rows, held_out: Rows, encoder: Encoder, settings: TuneRankSettings, control: Control, device: str
    ) -> None:
        self.gold, (self.held, self.held_gold) = list(train[1]), held_out
        self.ids, self.held_ids = (_ids(rows[0], encoder, settings.length) for rows in (train, held_out))
        super().__init__(encoder, settings, control, device)

    def open(self) -> nn.Module:
        return with_head(self.encoder, self.device)

    def batches(self, epoch: int) -> list[list[int]]:
        order = list(range(len(self.gold)))
        random.Random(f"{self.settings.seed}/{epoch}").shuffle(order)
        return [order[start : start + self.settings.rows] for start in range(0, len(order), self.settings.rows)]

    def loss(self, batch: Sequence[int]) -> Tensor:
        import torch
        from torch.nn import functional

        from engine.device import autocast, send

        with autocast(self.device):
            flat = self.micro_batches.forward(self.model, [ids for row in batch for ids in self.ids[row]])
        scores = _by_item(flat, [len(self.ids[row]) for row in batch])
        return functional.cross_entropy(scores, send(torch.tensor([self.gold[row] for row in batch]), self.device))

    def judge(self) -> Generator[Event, None, tuple[float, float]]:
        import torch
        from torch.nn import functional

        found = yield from _scores(self.model, self.held_ids, self.held, self.device, self.control)
        gold = torch.tensor(self.held_gold)
        loss = float(functional.cross_entropy(torch.from_numpy(found), gold))
        return loss, float((found.argmax(1) == gold.numpy()).mean())


def _ids(items: Sequence[Item], encoder: Encoder, length: int) -> list[list[list[int]]]:
    """Token ids of every pair, by item."""
    flat = iter(encoder.ids(pair_texts(items, length)[2], min(length, encoder.positions)))
    return [[next(flat) for _ in item.choices] for item in items]


def _scores(
    model: nn.Module, ids: Sequence[Sequence[Sequence[int]]], items: Sequence[Item], device: str, control: Control
) -> Generator[Event, None, NDArray[np.float64]]:
    import numpy as np

    flat = [one for choices in ids for one in choices]
    found = yield from in_batches(model, flat, device, control)
    result = np.full((len(items), max(len(item.choices) for item in items)), -np.inf)
    rows, columns = zip(
        *((row, place) for row, choices in enumerate(ids) for place in range(len(choices))), strict=True
    )
    result[rows, columns] = found.cpu().numpy()
    return result


def _by_item(flat: Tensor, counts: Sequence[int]) -> Tensor:
    """Scores of all pairs as ``(items, choices)``, ``-inf`` for padding."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(torch.split(flat, list(counts))), batch_first=True, padding_value=-math.inf)
