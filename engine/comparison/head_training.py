"""Training of a head on features that stay as they are: epochs until what was held out gets no better."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

from engine.runs.events import ContenderStep, Event, Notice
from engine.runs.messages import Control, handle_messages

Given = ParamSpec("Given")
Trained = TypeVar("Trained")


@dataclass(frozen=True)
class FitSettings:
    """How a head is trained, whatever it is."""

    epochs: int = 100
    """at most"""
    patience: int = 8
    """epochs without a better one before it ends"""
    rows: int = 256
    """in a batch"""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    by_score: bool = False
    """whether the best epoch is the one with the best score, ties by loss; else the one with the lowest loss"""


@dataclass(frozen=True)
class BestEpoch:
    """Which epoch of a training was kept."""

    epoch: int
    epochs: int
    """that were trained"""
    score: float
    """on what was held out"""


def fit_epochs(
    name: str,
    model: Any,
    *,
    order: Callable[[], Any],
    loss: Callable[[Any], Any],
    judge: Callable[[], tuple[float, float]],
    control: Control,
    settings: FitSettings,
    threads: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    double: bool = False,
) -> Generator[Event, None, BestEpoch]:
    """Train ``model`` with AdamW, epoch by epoch, and leave it in evaluation mode with the weights of the best.

    ``order``: the rows of an epoch in random order; ``loss`` of some of them, a mean; ``judge``: loss and score on what
    was held out; ``double``: sum losses in float64, on the host. No batch waits for the device. Yields a
    :class:`ContenderStep` an epoch where it has a ``name``.
    Raises :class:`engine.runs.messages.Stopped`.
    """
    import torch

    from engine.device import fused, read

    device = str(next(model.parameters()).device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fused(device)
    )
    best: tuple[tuple[float, ...], BestEpoch, dict[str, Any]] | None = None
    begun, epoch = time.monotonic(), 0
    for epoch in range(1, settings.epochs + 1):
        model.train()
        total: Any = 0.0
        losses: list[Any] = []
        rows = order()
        for start in range(0, len(rows), settings.rows):
            some = rows[start : start + settings.rows]
            with threads():
                found = loss(some)
                optimizer.zero_grad(set_to_none=True)
                found.backward()
                optimizer.step()
                losses.append(found.detach())
                if not double:
                    total = total + losses[-1] * len(some)
            yield from handle_messages(control, epoch)
        model.eval()
        with torch.inference_mode(), threads():
            missed, score = judge()
        key = (score, -missed) if settings.by_score else (-missed,)
        if better := best is None or key > best[0]:
            held = {part: tensor.clone() for part, tensor in model.state_dict().items()}
            best = key, BestEpoch(epoch, epoch, score), held
        assert best is not None
        last = min(settings.epochs, best[1].epoch + settings.patience)
        if name:
            left = (time.monotonic() - begun) / epoch * (last - epoch)
            note = f"epoch {epoch}" + (", the best so far" if better else "")
            if double:
                for start, value in zip(range(0, len(rows), settings.rows), read(losses), strict=True):
                    total += value * len(rows[start : start + settings.rows])
            mean = float(total) / len(rows)
            yield ContenderStep(name, epoch, settings.epochs, mean, missed, score, round(left, 1), note)
        if epoch - best[1].epoch >= settings.patience:
            break
    assert best is not None
    model.load_state_dict(best[2])
    model.eval().requires_grad_(False)
    return replace(best[1], epochs=epoch)


def or_on_cpu(
    train: Callable[Given, Generator[Event, None, Trained]],
) -> Callable[Given, Generator[Event, None, Trained]]:
    """A training with an argument ``device`` that begins again on the CPU where the device has no memory for it.

    A head is small: where its training does not fit, the memory is taken by others, and smaller batches would not help.
    """

    @functools.wraps(train)
    def trained(*args: Given.args, **options: Given.kwargs) -> Generator[Event, None, Trained]:
        from engine.device import out_of_memory, release

        device = str(options.get("device", "cpu"))
        try:
            return (yield from train(*args, **options))
        except RuntimeError as error:
            if device == "cpu" or not out_of_memory(error):
                raise
        release(device)
        yield Notice(f"out of memory on {device}: this method is trained on the CPU", "warning", "memory")
        options["device"] = "cpu"
        return (yield from train(*args, **options))

    return trained
