"""Multinomial logistic regression with scikit-learn's objective, solved by L-BFGS in well-conditioned coordinates."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.encoders.class_weights import balanced
from engine.machine import physical_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Each: TypeAlias = Callable[[Callable[[slice], Any], Sequence[slice]], Iterator[Any]]
    Evaluate: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]

Matrix: TypeAlias = Any  # dense float32 or sparse rows

HISTORY = 10  # steps that the solver remembers
ITERATIONS = 500  # at most, for one value of C
EXACT = 1e-9  # of the objective: how near to its optimum the solver stops
BLOCK = 2048  # rows that are weighted at once
SMALL = 4_000_000  # numbers in dense rows below which float64 costs little and one CPU thread suffices


class LogisticRegression:
    """The model of ``sklearn.linear_model.LogisticRegression`` on one training set, for one ``C`` after another.

    Minimises ``sum of weighted losses + |coefficients|² / 2C``, the bias without a penalty. Two classes share one row
    of coefficients, as in scikit-learn. Classes without rows get no probability.

    It is solved in coordinates in which the objective is nearly round: the coefficients times a Cholesky factor of the
    Hessian that rows of the mean uncertainty would give, of its diagonal where features are sparse. L-BFGS then takes
    tens of iterations whatever ``C`` is.
    """

    def __init__(self, rows: Matrix, labels: Sequence[int], *, class_weights: bool = False) -> None:
        """``rows`` ``(count, features)``, standardised or of like size; labels are class indices."""
        import numpy as np
        import torch

        self.present, gold = np.unique(np.asarray(labels), return_inverse=True)
        self._gold = torch.from_numpy(gold.astype(np.int64))
        self._classes, self._features = len(self.present), rows.shape[1]
        weights = balanced(gold.tolist(), self._classes).double() if class_weights else torch.ones(self._classes)
        self._weights = weights.double()[self._gold]
        self._total = float(self._weights.sum())
        self._basis: Tensor | None = None
        self._sparse = hasattr(rows, "tocsr")
        self._parts = [slice(0, rows.shape[0])]
        """rows that one thread computes"""
        if self._sparse:
            self._rows, self._columns = rows.tocsr(), rows.T.tocsr()
            self._gram = torch.from_numpy(self._columns.power(2) @ self._weights.numpy())
        else:
            small = rows.size < SMALL
            self._rows = torch.from_numpy(np.ascontiguousarray(rows, np.float64 if small else np.float32))
            if len(self._rows) < self._features:
                # The optimum lies in the space that the rows span, which has fewer dimensions.
                self._basis, inner = torch.linalg.qr(self._rows.T)
                self._rows = inner.T.contiguous()
            if not small:
                share = -(-len(self._rows) // physical_cores())
                self._parts = [slice(start, start + share) for start in range(0, len(self._rows), share)]
            with self._threads() as each:
                self._gram = torch.stack(list(each(self._weighted_gram, self._parts))).sum(0)
        self._solution = torch.zeros(self._classes, self._rows.shape[1] + 1, dtype=torch.float64)

    def solve(self, penalty: float) -> Iterator[float]:
        """Solve for ``C = penalty`` from the present solution; yields the mean loss of rows after each iteration."""
        with self._threads() as each:
            coordinates = self._coordinates(penalty)

            def evaluate(point: Tensor) -> tuple[float, Tensor]:
                value, slope = self._objective(coordinates.out_of(point), penalty, each)
                return value, coordinates.slope_into(slope)

            for point, value in _minimise(evaluate, coordinates.into(self._solution)):
                self._solution = coordinates.out_of(point)
                size = float(self._solution[:, :-1].square().sum())
                yield value - size / (2 * penalty * self._total)

    def layer(self, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coefficients ``(features, classes)`` and bias ``(classes,)`` of the present solution."""
        import numpy as np

        found = self._solution[:, :-1].T
        if self._basis is not None:
            found = self._basis.double() @ found
        weight = np.zeros((self._features, classes), np.float32)
        bias = np.full(classes, -1e4, np.float32)
        weight[:, self.present], bias[self.present] = found.numpy(), self._solution[:, -1].numpy()
        return weight, bias

    @contextlib.contextmanager
    def _threads(self) -> Iterator[Each]:
        """What maps a function over parts, each in a thread of its own that computes on one core.

        The cores of one product would wait for each other after every operation, and long where others use them too.
        """
        from engine.device import threads

        with threads(1):
            if len(self._parts) == 1:
                yield map
                return
            with ThreadPoolExecutor(len(self._parts)) as pool:
                yield pool.map

    def _objective(self, solution: Tensor, penalty: float, each: Each) -> tuple[float, Tensor]:
        """The objective over the sum of the rows' weights, and its slope ``(classes, width + 1)``, in float64."""
        import torch

        found = list(each(partial(self._loss, solution), self._parts))
        coefficients = solution[:, :-1]
        shrink = coefficients / (penalty * self._total)
        slope = torch.stack([part for _, part in found]).sum(0)
        slope[:, :-1] += shrink
        if self._classes == 2:
            slope[0] = 0.0  # one sigmoid s is the softmax of (0, s)
        return sum(value for value, _ in found) + float((coefficients * shrink).sum()) / 2, slope

    def _loss(self, solution: Tensor, part: slice) -> tuple[float, Tensor]:
        """What some rows add to the objective and to its slope."""
        import torch

        gold, weights = self._gold[None, part], self._weights[part] / self._total
        log_shares = self._logits(solution, part).log_softmax(0)
        value = -float((log_shares.gather(0, gold)[0] * weights).sum())
        errors = log_shares.exp()
        errors.scatter_add_(0, gold, errors.new_full(gold.shape, -1.0))
        errors *= weights
        if self._sparse:
            sums = torch.from_numpy(self._columns @ errors.T.numpy()).T
        else:
            sums = (errors.to(self._rows.dtype) @ self._rows[part]).double()
        return value, torch.cat([sums, errors.sum(1, keepdim=True)], 1)

    def _logits(self, solution: Tensor, part: slice) -> Tensor:
        """Of every class ``(classes, rows)``, float64."""
        import torch

        coefficients = solution[:, :-1]
        if self._sparse:
            products = torch.from_numpy(self._rows @ coefficients.T.numpy()).T
        else:
            products = (coefficients.to(self._rows.dtype) @ self._rows[part].T).double()
        logits: Tensor = products + solution[:, -1:]
        return logits

    def _weighted_gram(self, part: slice) -> Tensor:
        """Products of every two columns over some rows, in blocks, since a weighted copy of all takes much memory."""
        import torch

        gram: Tensor = self._rows.new_zeros(self._rows.shape[1], self._rows.shape[1])
        blocks = torch.split(self._rows[part], BLOCK), torch.split(self._weights[part], BLOCK)
        for rows, weights in zip(*blocks, strict=True):
            gram += (rows.T * weights.to(gram.dtype)) @ rows
        return gram

    def _coordinates(self, penalty: float) -> _Coordinates:
        import torch

        shrink = 1.0 / (penalty * self._total)
        shares = self._logits(self._solution, slice(None)).softmax(0)
        # The mean Hessian of the rows has this in each direction in which classes can differ.
        spread = float(((1 - shares.square().sum(0)) * self._weights).sum()) / self._total / max(1, self._classes - 1)
        spread = max(spread, 1e-3)
        hessian = self._gram * (spread / self._total)
        if self._sparse:
            return _Coordinates((hessian + shrink).sqrt(), spread**0.5)
        # What float32 cannot resolve is added to the diagonal too: this decides the speed, not the solution.
        hessian.diagonal().add_(shrink + 1e-6 * float(hessian.diagonal().max()))
        return _Coordinates(torch.linalg.cholesky(hessian), spread**0.5)


class _Coordinates:
    """Coefficients times ``factor``, lower triangular or a diagonal, and the bias times ``bias``."""

    def __init__(self, factor: Tensor, bias: float) -> None:
        self._factor, self._bias = factor, bias

    def into(self, solution: Tensor) -> Tensor:
        """Coordinates of a solution ``(classes, width + 1)``, as many."""
        if self._factor.dim() == 1:
            return solution * self._scales()
        return self._joined(
            (solution[:, :-1].to(self._factor.dtype) @ self._factor).double(), solution[:, -1:] * self._bias
        )

    def out_of(self, point: Tensor) -> Tensor:
        """The solution at a point."""
        return self._solved(point, self._factor, upper=True)

    def slope_into(self, slope: Tensor) -> Tensor:
        """A slope by the solution as one by the coordinates."""
        return self._solved(slope, self._factor.mT if self._factor.dim() == 2 else self._factor, upper=False)

    def _solved(self, given: Tensor, factor: Tensor, *, upper: bool) -> Tensor:
        import torch

        if factor.dim() == 1:
            return given / self._scales()
        part = torch.linalg.solve_triangular(factor.mT, given[:, :-1].to(factor.dtype).mT, upper=upper)
        return self._joined(part.mT.double(), given[:, -1:] / self._bias)

    def _scales(self) -> Tensor:
        import torch

        return torch.cat([self._factor, self._factor.new_tensor([self._bias])])

    @staticmethod
    def _joined(part: Tensor, bias: Tensor) -> Tensor:
        import torch

        return torch.cat([part, bias], 1)


def _minimise(evaluate: Evaluate, start: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Points of falling value from ``start`` on, each with its value, by L-BFGS with backtracking.

    For convex functions that are nearly round. Ends when the slope and the curvature so far let no more than ``EXACT``
    of the value be gained, or when rounding hides any further fall.
    """
    point, (value, slope) = start, evaluate(start)
    past: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=HISTORY)
    yield point, value
    for _ in range(ITERATIONS):
        direction = _direction(slope, past)
        fall = _dot(slope, direction)
        if -fall / 2 <= EXACT * abs(value):
            return
        step = 1.0 if past else min(1.0, 1.0 / float(slope.norm()))
        for _ in range(20):
            found, found_slope = evaluate(point + step * direction)
            if found <= value + 1e-4 * step * fall + 1e-7 * abs(value):
                break
            step /= 2
        else:
            return
        moved, turned = step * direction, found_slope - slope
        curvature = _dot(moved, turned)
        if curvature > 1e-10 * _dot(turned, turned):
            past.append((moved, turned, curvature))
        point, value, slope = point + moved, found, found_slope
        yield point, value


def _direction(slope: Tensor, past: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Where L-BFGS goes (Nocedal and Wright, Numerical Optimization, algorithm 7.4)."""
    direction = -slope
    shares = []
    for moved, turned, curvature in reversed(past):
        share = _dot(moved, direction) / curvature
        shares.append(share)
        direction.add_(turned, alpha=-share)
    if past:
        moved, turned, curvature = past[-1]
        direction.mul_(curvature / _dot(turned, turned))
    for (moved, turned, curvature), share in zip(past, reversed(shares), strict=True):
        direction.add_(moved, alpha=share - _dot(turned, direction) / curvature)
    return direction


def _dot(one: Tensor, other: Tensor) -> float:
    return float(one.flatten().dot(other.flatten()))
