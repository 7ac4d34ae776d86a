"""Weights that let every class of a training set count the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def balanced(labels: Sequence[int], classes: int) -> Tensor:
    """The weight of each class ``(classes,)``, float32: ``rows / (classes * rows of the class)``.

    This is ``class_weight="balanced"`` of scikit-learn; a class without rows counts as if it had one.
    """
    import torch

    counts = torch.bincount(torch.as_tensor(labels), minlength=classes).clamp(min=1)
    return (len(labels) / (classes * counts)).float()
