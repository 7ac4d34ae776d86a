"""Fine-tuning of a whole encoder to rank choices: every (question, choice) pair is read as one text and gets a score.

Cross-entropy over the choices of an item, as in the multiple-choice models of ``transformers``; AdamW with warm-up and
linear decay; the best epoch by accuracy on the held-out items. A new start goes on after the last epoch that ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import random
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import home, store
from checkpoints.lock import Lock, Locked
from data.choices import Item
from engine.control import Control
from engine.encode import BUDGETS, placed
from engine.encoders import Encoder, NoEncoder, of_folder
from engine.events import Event, Notice, RouteStep
from engine.heed import heed
from engine.machine import physical_cores
from engine.ranker import pair_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

ROUTE = "finetune"
CODE = 1  # raise it when the same settings would train otherwise
TELL = 0.5  # seconds between two losses


@dataclass(frozen=True)
class TuneRankSettings:
    """How an encoder is fine-tuned to rank."""

    epochs: int = 3
    """at most"""
    learning_rate: float = 0.0
    """peak; 0 is 2e-5 for encoders 768 wide or wider and 1e-4 for smaller ones"""
    rows: int = 16
    """items in a batch, each with all its choices"""
    weight_decay: float = 0.01
    warmup: float = 0.1
    """share of all steps"""
    clip: float = 1.0
    patience: int = 2
    """epochs without a better accuracy on the held-out items before it ends"""
    length: int = 128
    seed: int = 1337

    def peak(self, width: int) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (2e-5 if width >= 768 else 1e-4)


@dataclass(frozen=True)
class TunedRanker:
    """A fine-tuned ranker in evaluation mode."""

    model: nn.Module
    encoder: Encoder
    device: str
    length: int
    best_epoch: int
    epochs: int
    history: tuple[tuple[float, float], ...]
    """loss (nats an item) and accuracy on the held-out items after each epoch"""

    @property
    def parameters(self) -> int:
        """All of which were trained."""
        return sum(int(tensor.numel()) for tensor in self.model.parameters())

    def scores(self, items: Sequence[Item], control: Control) -> Generator[Event, None, NDArray[np.float64]]:
        """A score for each choice ``(items, choices)``, ``-inf`` where there is none. Raises ``Stopped``."""
        return _scores(self.model, _ids(items, self.encoder, self.length), items, self.device, control)


def tune(
    train: Sequence[Item],
    held: Sequence[Item],
    encoder: Encoder,
    settings: TuneRankSettings,
    control: Control,
    *,
    fingerprint: str,
    device: str = "auto",
) -> Generator[Event, None, TunedRanker]:
    """Train the encoder and return the best epoch; ``fingerprint`` names the data.

    Yields :class:`RouteStep`. Raises :class:`engine.heed.Stopped`, :class:`engine.encoders.NoEncoder`.
    """
    where, _ = placed(device)
    made = json.dumps([CODE, "rank", encoder.identity, asdict(settings), fingerprint], sort_keys=True)
    folder = home.cache() / "finetune" / hashlib.sha256(made.encode()).hexdigest()[:32]
    with contextlib.ExitStack() as stack:
        kept: Path | None = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(Lock(folder / "lock"))
        except (OSError, Locked) as error:
            kept = None
            yield Notice(f"epochs are not kept for a later start ({error})", "warning", "finetune")
        tuned = yield from _Work(train, held, encoder, settings, control, where, kept).run()
    shutil.rmtree(folder, ignore_errors=True)
    return tuned


def save(tuned: TunedRanker, folder: Path) -> None:
    """Write encoder (a folder that ``transformers`` loads) and head (``head.safetensors``)."""
    from safetensors.torch import save_file

    from engine.encoding import BackedTokenizer

    temporary = folder.with_name(f"tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    model: Any = tuned.model
    model.encoder.save_pretrained(temporary)
    save_file(
        {name: part.contiguous() for name, part in model.out.state_dict().items()}, temporary / "head.safetensors"
    )
    words = tuned.encoder.tokenizer
    if isinstance(words, BackedTokenizer):
        words.backend.save(str(temporary / "tokenizer.json"))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load(folder: Path, length: int, device: str = "cpu") -> TunedRanker:
    """The ranker that :func:`save` wrote. Raises :class:`engine.encoders.NoEncoder` and :class:`OSError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    encoder = of_folder(folder, folder.name, str(folder), str(folder))
    model: Any = with_head(encoder, device)
    try:
        model.out.load_state_dict(load_file(folder / "head.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        raise NoEncoder(f"{folder}: the head cannot be read ({str(error).splitlines()[0]})") from None
    model.eval().requires_grad_(False)
    return TunedRanker(model, encoder, device, length, 0, 0, ())


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

    return Scorer(encoder.open("cpu", "float32").requires_grad_(True), encoder.width).to(device)


class _Work:
    """One fine-tuning under way."""

    def __init__(
        self,
        train: Sequence[Item],
        held: Sequence[Item],
        encoder: Encoder,
        settings: TuneRankSettings,
        control: Control,
        device: str,
        folder: Path | None,
    ) -> None:
        import torch

        self.train, self.held, self.encoder = train, held, encoder
        self.settings, self.control, self.device, self.folder = settings, control, device, folder
        self.ids = _ids(train, encoder, settings.length)
        self.held_ids = _ids(held, encoder, settings.length)
        torch.set_num_threads(physical_cores())
        torch.manual_seed(settings.seed)  # of the head's initial weights
        self.model = with_head(encoder, device)
        self.peak = settings.peak(encoder.width)
        groups: tuple[list[Any], list[Any]] = ([], [])
        for parameter in self.model.parameters():
            groups[parameter.dim() > 1].append(parameter)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups[0], "weight_decay": 0.0},
                {"params": groups[1], "weight_decay": settings.weight_decay},
            ],
            lr=self.peak,
            fused=device in ("cpu", "cuda"),
        )
        self.steps = math.ceil(len(train) / settings.rows) * settings.epochs
        self.step = 0
        self.history: list[tuple[float, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.spent, self.since = 0.0, time.monotonic()

    def run(self) -> Generator[Event, None, TunedRanker]:
        import torch

        yield from self._resume()
        while len(self.history) < self.settings.epochs and not self._enough():
            torch.manual_seed(self.settings.seed * 1000 + len(self.history))  # so that a later start drops the same
            yield from self._epoch(len(self.history))
            yield from self._evaluate()
        assert self.best is not None
        self.model.load_state_dict(self.best)
        self.model.eval().requires_grad_(False)
        return TunedRanker(
            self.model,
            self.encoder,
            self.device,
            self.settings.length,
            self._best_epoch() + 1,
            len(self.history),
            tuple(self.history),
        )

    def _epoch(self, epoch: int) -> Iterator[Event]:
        import torch
        from torch.nn import functional

        self.model.train()
        total, rows, told = 0.0, 0, time.monotonic()
        self.since = time.monotonic()
        order = list(range(len(self.train)))
        random.Random(f"{self.settings.seed}/{epoch}").shuffle(order)
        for start in range(0, len(order), self.settings.rows):
            batch = order[start : start + self.settings.rows]
            for group in self.optimizer.param_groups:
                group["lr"] = self.peak * self._share()
            texts = [ids for row in batch for ids in self.ids[row]]
            with _cast(self.device):
                flat = self.model(*_batch(texts, self.device))
            scores = _by_item(flat, [len(self.ids[row]) for row in batch])
            gold = torch.tensor([self.train[row].gold for row in batch], device=self.device)
            loss = functional.cross_entropy(scores, gold)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
            self.optimizer.step()
            self.step += 1
            total, rows = total + float(loss.detach()) * len(batch), rows + len(batch)
            if time.monotonic() - told >= TELL:
                told = time.monotonic()
                yield RouteStep(ROUTE, self.step, self.steps, total / rows, None, None, self._left())
                total, rows = 0.0, 0
            before = time.monotonic()
            yield from heed(self.control, self.step)
            self.since += time.monotonic() - before
        self.spent += time.monotonic() - self.since

    def _evaluate(self) -> Iterator[Event]:
        import torch
        from torch.nn import functional

        self.model.eval()
        found = yield from _scores(self.model, self.held_ids, self.held, self.device, self.control)
        gold = torch.tensor([item.gold for item in self.held])
        loss = float(functional.cross_entropy(torch.from_numpy(found), gold))
        self.history.append((loss, float((found.argmax(1) == gold.numpy()).mean())))
        better = self._best_epoch() == len(self.history) - 1
        if better:
            self.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}
        yield from self._keep()
        note = f"epoch {len(self.history)} of {self.settings.epochs}" + (", the best so far" if better else "")
        yield RouteStep(ROUTE, self.step, self.steps, loss, *self.history[-1], self._left(), note)

    def _keep(self) -> Iterator[Event]:
        """Put the epoch on the disk; training goes on when that fails."""
        from checkpoints.state import capture

        if self.folder is None:
            return
        state = {"history": self.history, "steps_done": self.step, "spent": self.spent}
        try:
            store.commit(self.folder, len(self.history), capture(self.model, self.optimizer).encode(), state)
            store.prune(self.folder, keep_last=1, keep=frozenset({self._best_epoch() + 1}))
        except OSError as error:
            yield Notice(f"the epoch could not be kept ({error.strerror or error})", "warning", "finetune")

    def _resume(self) -> Iterator[Event]:
        from checkpoints.state import restore_model, restore_optimizer

        if self.folder is None:
            return
        store.sweep(self.folder)
        for found in store.newest(self.folder):
            if isinstance(found, store.CheckpointError):
                yield Notice(f"an epoch that was kept is passed over: {found}", "warning", "finetune")
                continue
            _, state, contents = found
            self.history = [(float(loss), float(accuracy)) for loss, accuracy in state["history"]]
            try:
                best = self.folder / store.name_of(self._best_epoch() + 1)
                restore_model(self.model, store.read(best)[1])
                self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
                restore_model(self.model, contents)
                restore_optimizer(self.model, self.optimizer, contents)
            except store.CheckpointError as error:
                yield Notice(f"an epoch that was kept is passed over: {error}", "warning", "finetune")
                self.history = []
                continue
            self.step, self.spent = int(state["steps_done"]), float(state["spent"])
            yield Notice(
                f"fine-tuning goes on after epoch {len(self.history)} of {self.settings.epochs}", "info", "finetune"
            )
            return

    def _best_epoch(self) -> int:
        """By accuracy on the held-out items, ties by loss."""
        return max(range(len(self.history)), key=lambda epoch: (self.history[epoch][1], -self.history[epoch][0]))

    def _enough(self) -> bool:
        return bool(self.history) and len(self.history) - 1 - self._best_epoch() >= self.settings.patience

    def _share(self) -> float:
        """Of the peak learning rate: up over the warm-up, then down to nothing."""
        warm = max(1, round(self.steps * self.settings.warmup))
        if self.step < warm:
            return (self.step + 1) / warm
        return max(0.0, (self.steps - self.step) / max(1, self.steps - warm))

    def _left(self) -> float:
        spent = self.spent + (time.monotonic() - self.since if self.model.training else 0.0)
        return round(spent / max(1, self.step) * (self.steps - self.step), 1)


def _ids(items: Sequence[Item], encoder: Encoder, length: int) -> list[list[list[int]]]:
    """Token ids of every pair, by item."""
    flat = iter(encoder.ids(pair_texts(items, length)[2], min(length, encoder.positions)))
    return [[next(flat) for _ in item.choices] for item in items]


def _scores(
    model: nn.Module, ids: Sequence[Sequence[Sequence[int]]], items: Sequence[Item], device: str, control: Control
) -> Generator[Event, None, NDArray[np.float64]]:
    import numpy as np
    import torch

    flat = [(row, place, one) for row, choices in enumerate(ids) for place, one in enumerate(choices)]
    flat.sort(key=lambda entry: -len(entry[2]))
    result = np.full((len(items), max(len(item.choices) for item in items)), -np.inf)
    budget, start = BUDGETS.get(device, BUDGETS["cpu"]), 0
    while start < len(flat):
        some = flat[start : start + max(1, budget // len(flat[start][2]))]
        with torch.inference_mode(), _cast(device):
            found = model(*_batch([one for _, _, one in some], device)).double().cpu().numpy()
        result[[row for row, _, _ in some], [place for _, place, _ in some]] = found
        start += len(some)
        yield from heed(control, start)
    return result


def _by_item(flat: Tensor, counts: Sequence[int]) -> Tensor:
    """Scores of all pairs as ``(items, choices)``, ``-inf`` for padding."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(torch.split(flat, list(counts))), batch_first=True, padding_value=-math.inf)


def _batch(texts: Sequence[Sequence[int]], device: str) -> tuple[Tensor, Tensor]:
    import torch

    longest = max(map(len, texts))
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.long)
    for row, one in enumerate(texts):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return ids.to(device), mask.to(device)


def _cast(device: str) -> Any:
    import torch

    half = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext()
