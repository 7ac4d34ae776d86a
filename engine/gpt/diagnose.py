"""What a curve says in plain language: overfitting, divergence, plateau. Pure functions of the evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """One point of the curve, losses in nats per character."""

    step: int
    val_loss: float
    train_loss: float | None


def diagnose(history: Sequence[Evaluation], uniform: float) -> tuple[str, str] | None:
    """The kind of trouble that the last evaluations show and a sentence about it, or None.

    ``uniform`` is ln V. The rules: *divergence*, the training loss is above that of uniform guessing after the
    first evaluation; *overfitting*, the validation loss is at least 1% above its best for three evaluations while the
    training loss fell; *plateau*, the best of the last five evaluations improves on the best before them by less than
    0.2% and the curve is not overfitting.
    """
    if len(history) < 2:
        return None
    last = history[-1]
    best = min(history, key=lambda point: point.val_loss)
    earlier = history[-4] if len(history) > 3 else history[0]
    falling = last.train_loss is not None and earlier.train_loss is not None and last.train_loss < earlier.train_loss
    if last.train_loss is not None and last.train_loss > uniform * 1.02 and history[-2].step > 0:
        return "divergence", (
            f"the training loss ({last.train_loss:.2f}) is above that of uniform guessing ({uniform:.2f}): "
            "the learning rate is too high"
        )
    since = [point for point in history if point.step > best.step]
    if len(since) >= 3 and all(point.val_loss > best.val_loss * 1.01 for point in since[-3:]) and falling:
        return "overfitting", (
            f"overfitting since step {best.step:,}: the validation loss rose from {best.val_loss:.3f} to "
            f"{last.val_loss:.3f} while the training loss fell; the best checkpoint is kept, more dropout or text helps"
        )
    if len(history) >= 8:
        recent = min(point.val_loss for point in history[-5:])
        before = min(point.val_loss for point in history[:-5])
        if recent > before * 0.998 and not falling:
            return "plateau", (
                f"no significant progress since step {best.step:,} (best {best.val_loss:.3f}): "
                "a larger model or another learning rate may help, more steps will not"
            )
    return None
