"""A small scorer on frozen features of (question, choice) pairs, trained to put the right choice above the others.

Two losses: the margin loss over the right choice against each other one (torch's ``MarginRankingLoss``), and
cross-entropy over the choices of an item. The encoder stays as it is, so a training takes seconds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from data.choices import Item
from engine.comparison.features import SplitFeatures
from engine.comparison.head_training import FitSettings, fit_epochs, or_on_cpu
from engine.runs.events import Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Matrix: TypeAlias = NDArray[np.float32]

Loss: TypeAlias = Literal["margin", "cross-entropy"]

LOSSES: tuple[Loss, ...] = ("margin", "cross-entropy")


@dataclass(frozen=True)
class RankSettings(FitSettings):
    """How a scorer is trained."""

    epochs: int = 60
    rows: int = 64
    """items in a batch"""
    by_score: bool = True
    loss: Loss = "margin"
    margin: float = 0.2
    """by which the right choice should lead each other one; 0 would be content with all scores alike"""
    hidden: int = 256
    dropout: float = 0.4
    seed: int = 1337


@dataclass(frozen=True)
class Pairs:
    """Features of items, padded to the most choices of any of them; rows are unit vectors times the root of the width.

    ``question`` ``(items, width)``, ``choice`` and ``pair`` (the two in one text) ``(items, choices, width)``,
    ``there`` ``(items, choices)`` tells choices from padding.
    """

    question: Matrix
    choice: Matrix
    pair: Matrix
    there: NDArray[np.bool_]
    gold: NDArray[np.int64]
    """place of the right choice; -1 where it is not known"""

    def __len__(self) -> int:
        return len(self.gold)

    def hidden(self) -> Pairs:
        """The same items without their questions: what is left is the choice alone."""
        import numpy as np

        return Pairs(np.zeros_like(self.question), self.choice, self.choice, self.there, self.gold)

    def reordered(self, order: NDArray[np.int64]) -> Pairs:
        """Choices in another order, ``(items, choices)`` places each; padding must stay behind."""
        import numpy as np

        def taken(rows: Any) -> Any:
            return np.take_along_axis(rows, order[..., None], 1)

        gold = np.where(self.gold < 0, -1, (order == self.gold[:, None]).argmax(1))
        return Pairs(self.question, taken(self.choice), taken(self.pair), self.there, gold)


@dataclass(frozen=True)
class GroupedHead:
    """A head that scores every choice of a group, here of an item; the highest score is the answer."""

    network: nn.Module
    loss: Loss
    width: int
    device: str
    best_epoch: int = 0
    epochs: int = 0
    held_out_accuracy: float = 0.0

    @property
    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.network.parameters())

    def scores(self, pairs: Pairs) -> NDArray[np.float64]:
        """A score for each choice ``(items, choices)``, ``-inf`` where there is none."""
        import numpy as np
        import torch

        found = []
        self.network.eval()
        with torch.inference_mode():
            for start in range(0, len(pairs), 256):
                found.append(self.network(*_tensors(pairs, slice(start, start + 256), self.device)))
        return np.asarray(torch.cat(found).cpu().double().numpy())  # not every device has float64


def pair_texts(items: Sequence[Item], length: int = 128) -> tuple[list[str], list[str], list[str]]:
    """Questions, choices and both in one text, choices in the order of the items.

    Of a question only the end is kept that surely fits into ``length`` tokens beside its choice.
    """
    stems = [item.stem[-_characters(length) :] for item in items]
    return (
        stems,
        [choice for item in items for choice in item.choices],
        [f"{stem} {choice}" for stem, item in zip(stems, items, strict=True) for choice in item.choices],
    )


def truncated_questions(items: Sequence[Item], length: int) -> int:
    """How many questions :func:`pair_texts` cuts."""
    return sum(len(item.stem) > _characters(length) for item in items)


def _characters(length: int) -> int:
    """Of a question, that are kept for so many tokens."""
    return 3 * length


class PairFeatures(SplitFeatures):
    """Frozen features of every question, choice and pair of the two, from the disk as far as they are there."""

    def pairs(self, split: str) -> Pairs:
        """The items of a split."""
        found: Pairs = self._encoded[split]
        return found

    def _features(self, items: Sequence[Any], control: Control) -> Generator[Event, None, Pairs]:
        found: list[Matrix] = []
        for texts in pair_texts(items, self.length):
            known = {text: row for row, text in enumerate(dict.fromkeys(texts))}
            features = yield from self._features_of(list(known), control, (self.pooling,))
            found.append(features.pooled(self.pooling)[[known[text] for text in texts]])
        return arranged(items, *found)


def arranged(items: Sequence[Item], question: Matrix, choice: Matrix, pair: Matrix) -> Pairs:
    """Rows of features, one a text of :func:`pair_texts`, as padded items."""
    import numpy as np

    most = max(len(item.choices) for item in items)
    there = np.array([[place < len(item.choices) for place in range(most)] for item in items])

    def padded(rows: Matrix) -> Matrix:
        result = np.zeros((len(items), most, rows.shape[1]), np.float32)
        result[there] = _unit(rows)
        return result

    gold = np.array([item.gold for item in items], np.int64)
    return Pairs(_unit(question), padded(choice), padded(pair), there, gold)


@or_on_cpu
def fit(
    method: str, train: Pairs, held: Pairs, settings: RankSettings, control: Control, *, device: str = "cpu"
) -> Generator[Event, None, GroupedHead]:
    """Train a scorer and return its best epoch by accuracy on the held-out items, ties by loss.

    Where the device has no memory for it, it is trained on the CPU. Yields a :class:`ContenderStep` an epoch when
    ``method`` is not empty. Raises :class:`engine.runs.messages.Stopped`.
    """
    import torch

    from engine.device import send

    torch.manual_seed(settings.seed)
    draws = torch.Generator().manual_seed(settings.seed)
    network = _network(train.question.shape[1], settings).to(device)
    gold = torch.from_numpy(held.gold)

    def judge() -> tuple[float, float]:
        found = head.scores(held)
        return float(loss_of(torch.from_numpy(found), gold, settings)), float((found.argmax(1) == held.gold).mean())

    def loss(rows: Any) -> Tensor:
        gold = send(torch.from_numpy(train.gold[rows]), device)
        places = [send(torch.from_numpy(one), device) for one in _others(train.there[rows], train.gold[rows])]
        return loss_of(network(*_tensors(train, rows, device)), gold, settings, places)

    head = GroupedHead(network, settings.loss, train.question.shape[1], device)
    best = yield from fit_epochs(
        method,
        network,
        order=lambda: torch.randperm(len(train), generator=draws).numpy(),
        loss=loss,
        judge=judge,
        control=control,
        settings=settings,
        double=True,
    )
    return replace(head, best_epoch=best.epoch, epochs=best.epochs, held_out_accuracy=best.score)


def loss_of(scores: Tensor, gold: Tensor, settings: RankSettings, others: Sequence[Tensor] | None = None) -> Tensor:
    """The loss of scores ``(items, choices)``, ``-inf`` for padding: a mean over pairs, or over items.

    ``others``: rows and columns of the wrong choices, as the host knows them; finding them waits for the device.
    """
    import torch
    from torch.nn import functional

    if settings.loss == "cross-entropy":
        return functional.cross_entropy(scores, gold)
    if others is None:
        wrong_ones = torch.isfinite(scores)
        wrong_ones[torch.arange(len(gold), device=gold.device), gold] = False
        others = wrong_ones.nonzero(as_tuple=True)
    rows, columns = others
    right = scores.gather(1, gold[:, None]).expand_as(scores)[rows, columns]
    wrong = scores[rows, columns]
    return functional.margin_ranking_loss(right, wrong, torch.ones_like(right), margin=settings.margin)


def _others(there: NDArray[np.bool_], gold: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Rows and columns of the wrong choices."""
    import numpy as np

    wrong = there.copy()
    wrong[np.arange(len(gold)), gold] = False
    return np.nonzero(wrong)


def arrays(ranker: GroupedHead) -> dict[str, Matrix]:
    """Every weight by name, for safetensors."""
    return {name: part.cpu().numpy() for name, part in ranker.network.state_dict().items()}


def ranker_from(held: Mapping[str, Matrix], loss: Loss) -> GroupedHead:
    """The ranker that :func:`arrays` gave. Raises :class:`KeyError` and :class:`ValueError` for other arrays."""
    import torch

    hidden, inputs = held["hidden.weight"].shape
    network = _network(inputs // 5, RankSettings(hidden=hidden))
    try:
        network.load_state_dict({name: torch.from_numpy(part) for name, part in held.items()})
    except RuntimeError as error:
        raise ValueError(f"the weights are not of a ranker ({str(error).splitlines()[0]})") from None
    network.eval().requires_grad_(False)
    return GroupedHead(network, loss, inputs // 5, "cpu")


def _network(width: int, settings: RankSettings) -> nn.Module:
    """The scorer, made here so that torch is only loaded when one is trained."""
    import torch
    from torch import nn

    class Scorer(nn.Module):
        """One hidden layer over question, choice, their product and difference, and the pair read as one text."""

        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(5 * width, settings.hidden)
            self.out = nn.Linear(settings.hidden, 1)
            self.drop = nn.Dropout(settings.dropout)

        def forward(self, question: Tensor, choice: Tensor, pair: Tensor, there: Tensor) -> Tensor:
            question = question[:, None].expand_as(choice)
            parts = torch.cat([pair, question, choice, question * choice, (question - choice).abs()], -1)
            scores: Tensor = self.out(self.drop(nn.functional.gelu(self.hidden(self.drop(parts)))))[..., 0]
            return scores.masked_fill(~there, -torch.inf)

    return Scorer()


def _tensors(pairs: Pairs, rows: Any, device: str) -> list[Tensor]:
    import torch

    from engine.device import send

    parts = (pairs.question[rows], pairs.choice[rows], pairs.pair[rows], pairs.there[rows])
    return [send(torch.from_numpy(part), device) for part in parts]


def _unit(rows: Matrix) -> Matrix:
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12) * np.float32(rows.shape[1] ** 0.5), np.float32)
