"""Fine-tuning of a whole encoder with a fresh head: the costly route, which starts again where an epoch ended.

AdamW with decoupled decay (Loshchilov and Hutter, 2019),
linear warm-up and decay, the best epoch by validation accuracy.
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
from engine.control import Control
from engine.encode import BUDGETS, placed
from engine.encoders import Encoder
from engine.events import Event, Notice, RouteStep
from engine.heed import heed
from engine.machine import physical_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUTE = "finetune"
CODE = 1  # raise it when the same settings would train otherwise
POOL = 50  # batches whose rows are sorted by length together, so that little is padded and much stays random
TELL = 0.5  # seconds between two losses


@dataclass(frozen=True)
class TuneSettings:
    """How an encoder is fine-tuned."""

    epochs: int = 4
    """at most"""
    learning_rate: float = 0.0
    """peak; 0 is 5e-5 for encoders 768 wide or wider and 1.5e-4 for smaller ones"""
    rows: int = 32
    """texts in a batch"""
    weight_decay: float = 0.01
    warmup: float = 0.06
    """share of all steps"""
    clip: float = 1.0
    patience: int = 2
    """epochs without a better validation accuracy before it ends"""
    length: int = 128
    class_weights: bool = False
    seed: int = 1337

    def peak(self, width: int) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (5e-5 if width >= 768 else 1.5e-4)


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned classifier in evaluation mode."""

    model: Any
    encoder: Encoder
    device: str
    best_epoch: int
    epochs: int
    history: tuple[tuple[float, float], ...]
    """validation loss (nats a row) and accuracy after each epoch"""

    @property
    def parameters(self) -> int:
        """All of which were trained."""
        return sum(int(tensor.numel()) for tensor in self.model.parameters())


def finetune(
    train: tuple[Sequence[str], Sequence[int]],
    validation: tuple[Sequence[str], Sequence[int]],
    classes: Sequence[str],
    encoder: Encoder,
    settings: TuneSettings,
    control: Control,
    *,
    fingerprint: str,
    device: str = "auto",
) -> Generator[Event, None, Tuned]:
    """Train on texts and class indices and return the best epoch.

    ``fingerprint`` names the data: with the same data, encoder and settings a new start goes on after the last epoch
    that ended. Yields :class:`RouteStep`. Raises :class:`engine.heed.Stopped`, :class:`engine.encoders.NoEncoder`.
    """
    where, _ = placed(device)
    key = _key(encoder, settings, fingerprint)
    folder = home.cache() / "finetune" / key
    with contextlib.ExitStack() as stack:
        kept: Path | None = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(Lock(folder / "lock"))
        except (OSError, Locked) as error:
            kept = None
            yield Notice(f"epochs are not kept for a later start ({error})", "warning", "finetune")
        work = _Work(train, validation, classes, encoder, settings, control, where, kept)
        tuned = yield from work.run()
    shutil.rmtree(folder, ignore_errors=True)
    return tuned


def probabilities(
    model: Any, ids: Sequence[Sequence[int]], device: str, control: Control | None = None
) -> Generator[Event, None, NDArray[np.float64]]:
    """Probabilities of every class ``(len(ids), classes)`` of a fine-tuned model in evaluation mode."""
    import numpy as np
    import torch

    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    result: NDArray[np.float64] = np.empty((len(ids), model.config.num_labels))
    budget, start = BUDGETS.get(device, BUDGETS["cpu"]), 0
    while start < len(order):
        rows = order[start : start + max(1, budget // len(ids[order[start]]))]
        with torch.inference_mode(), _cast(device):
            logits = model(**_batch([ids[row] for row in rows], device, model.config.pad_token_id)).logits
        result[rows] = logits.double().softmax(1).cpu().numpy()
        start += len(rows)
        if control is not None:
            yield from heed(control, start)
    return result


def save(tuned: Tuned, folder: Path) -> None:
    """Write a folder that ``transformers`` loads: ``AutoModelForSequenceClassification`` and ``AutoTokenizer``."""
    from engine.encoding import BackedTokenizer

    temporary = folder.with_name(f"tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    tuned.model.save_pretrained(temporary)
    words = tuned.encoder.tokenizer
    if isinstance(words, BackedTokenizer):
        words.backend.save(str(temporary / "tokenizer.json"))
        special = {"pad_token": words.token(int(tuned.model.config.pad_token_id))}
        known = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
        special |= {name: token for name, token in known.items() if words.id_of(token) is not None}
        about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": tuned.encoder.positions, **special}
        (temporary / "tokenizer_config.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


class _Work:
    """One fine-tuning under way."""

    def __init__(
        self,
        train: tuple[Sequence[str], Sequence[int]],
        validation: tuple[Sequence[str], Sequence[int]],
        classes: Sequence[str],
        encoder: Encoder,
        settings: TuneSettings,
        control: Control,
        device: str,
        folder: Path | None,
    ) -> None:
        import torch

        self.settings, self.control, self.device, self.folder, self.encoder = settings, control, device, folder, encoder
        length = min(settings.length, encoder.positions)
        self.ids, self.labels = encoder.ids(list(train[0]), length), list(train[1])
        self.validation_ids, self.validation_labels = encoder.ids(list(validation[0]), length), list(validation[1])
        torch.set_num_threads(physical_cores())
        torch.manual_seed(settings.seed)  # of the head's initial weights
        self.model = encoder.open_classifier(list(classes)).to(device)
        plain: list[Any] = []
        decayed: list[Any] = []
        for parameter in self.model.parameters():
            (decayed if parameter.dim() > 1 else plain).append(parameter)
        self.peak = settings.peak(encoder.width)
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=self.peak,
            fused=device in ("cpu", "cuda"),
        )
        weights = None
        if settings.class_weights:
            counts = torch.bincount(torch.tensor(self.labels), minlength=len(classes)).clamp(min=1)
            weights = (len(self.labels) / (len(classes) * counts)).float().to(device)
        self.loss = torch.nn.CrossEntropyLoss(weights)
        self.steps = math.ceil(len(self.ids) / settings.rows) * settings.epochs
        self.step = 0
        self.history: list[tuple[float, float]] = []
        self.best: dict[str, Any] | None = None
        self.spent, self.since = 0.0, time.monotonic()

    def run(self) -> Generator[Event, None, Tuned]:
        import torch

        yield from self._resume()
        while len(self.history) < self.settings.epochs and not self._enough():
            epoch = len(self.history)
            torch.manual_seed(self.settings.seed * 1000 + epoch)  # so that a later start draws the same dropout
            self.model.train()
            yield from self._epoch(epoch)
            yield from self._evaluate()
        assert self.best is not None
        self.model.load_state_dict(self.best)
        self.model.eval().requires_grad_(False)
        best = self._best_epoch() + 1
        return Tuned(self.model, self.encoder, self.device, best, len(self.history), tuple(self.history))

    def _epoch(self, epoch: int) -> Iterator[Event]:
        import torch

        total, rows, told = 0.0, 0, time.monotonic()
        self.since = time.monotonic()
        for batch in _batches([len(ids) for ids in self.ids], self.settings.rows, f"{self.settings.seed}/{epoch}"):
            for group in self.optimizer.param_groups:
                group["lr"] = self.peak * self._share()
            with _cast(self.device):
                given = _batch([self.ids[row] for row in batch], self.device, self.model.config.pad_token_id)
                logits = self.model(**given).logits
                loss = self.loss(logits.float(), torch.tensor([self.labels[row] for row in batch]).to(self.device))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
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
        import numpy as np

        self.model.eval()
        found = yield from probabilities(self.model, self.validation_ids, self.device, self.control)
        gold = np.array(self.validation_labels)
        loss = float(-np.log(np.clip(found[np.arange(len(gold)), gold], 1e-15, 1)).mean())
        self.history.append((loss, float((found.argmax(1) == gold).mean())))
        better = self._best_epoch() == len(self.history) - 1
        if better:
            self.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}
        yield from self._keep()
        note = f"epoch {len(self.history)} of {self.settings.epochs}" + (", the best so far" if better else "")
        self.since = time.monotonic()
        yield RouteStep(ROUTE, self.step, self.steps, loss, *self.history[-1], self._left(), note)

    def _keep(self) -> Iterator[Event]:
        """Put the epoch on the disk; training goes on when that fails."""
        from checkpoints.state import capture

        if self.folder is None:
            return
        state = {"history": self.history, "steps_done": self.step, "spent": self.spent}
        try:
            contents = capture(self.model, self.optimizer).encode()
            store.commit(self.folder, len(self.history), contents, state)
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
            best = self.folder / store.name_of(self._best_epoch() + 1)
            try:
                restore_model(self.model, store.read(best)[1])
                self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
                restore_model(self.model, contents)
                restore_optimizer(self.model, self.optimizer, contents)
            except store.CheckpointError as error:
                yield Notice(f"an epoch that was kept is passed over: {error}", "warning", "finetune")
                self.history = []
                continue
            self.step, self.spent = int(state["steps_done"]), float(state["spent"])
            done = len(self.history)
            yield Notice(f"fine-tuning goes on after epoch {done} of {self.settings.epochs}", "info", "finetune")
            return

    def _best_epoch(self) -> int:
        """By validation accuracy, ties by loss."""
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


def _key(encoder: Encoder, settings: TuneSettings, fingerprint: str) -> str:
    made = json.dumps([CODE, encoder.identity, asdict(settings), fingerprint], sort_keys=True)
    return hashlib.sha256(made.encode()).hexdigest()[:32]


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


def _batch(ids: Sequence[Sequence[int]], device: str, pad: int) -> dict[str, Any]:
    import torch

    longest = max(map(len, ids))
    filled = torch.full((len(ids), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for row, one in enumerate(ids):
        filled[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return {"input_ids": filled.to(device), "attention_mask": mask.to(device)}


def _cast(device: str) -> Any:
    import torch

    half = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast("cuda", torch.bfloat16) if half else contextlib.nullcontext()
