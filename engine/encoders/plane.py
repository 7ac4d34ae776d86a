"""Feature vectors in two dimensions, to be looked at: their first two principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plane:
    """The plane through some vectors along which they vary most."""

    mean: NDArray[np.float64]
    """``(width,)``"""
    axes: NDArray[np.float64]
    """``(2, width)``, orthonormal; the largest entry of each is positive: the plane is not mirrored by chance"""
    share: float
    """of the variance that the two axes hold, 0 to 1"""

    def points(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Where vectors ``(rows, width)`` lie on it ``(rows, 2)``."""
        found: NDArray[np.float64] = (vectors - self.mean) @ self.axes.T
        return found


def plane(vectors: NDArray[np.float32]) -> Plane:
    """The first two principal components of vectors ``(rows, width)``, by the SVD of their covariance."""
    mean = vectors.mean(0, dtype=np.float64)
    centred = vectors - mean
    _, variances, axes = np.linalg.svd(centred.T @ centred)
    axes = axes[:2] * np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
    return Plane(mean, axes, float(variances[:2].sum() / max(variances.sum(), 1e-30)))
