"""Shallow models on features that stay as they are: logistic regression and an MLP, as arrays that need no pickle."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.comparison import statistics
from engine.comparison.head_training import FitSettings, fit_epochs, or_on_cpu
from engine.comparison.logistic import LogisticRegression, Matrix
from engine.encoders.class_weights import balanced
from engine.machine import physical_cores
from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROGRESS_EVERY = 0.25  # seconds between two events of progress
GRID = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
WIDEST = (1e-6, 1e6)
HIDDEN = 256
BATCH = 256
DROPOUT = 0.4
SMALL = 2e8  # multiplications of a batch below which one CPU thread does them


@dataclass(frozen=True)
class Head:
    """A trained head as arrays: standardisation, then one or two linear layers. No pickle anywhere.

    ``mean`` and ``scale`` ``(features,)``; each layer is a matrix ``(inputs, outputs)`` and a bias, with GELU between.
    """

    mean: NDArray[np.float32] | None
    scale: NDArray[np.float32] | None
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    settings: str
    validation_accuracy: float | None = None
    penalty: float | None = None
    """``C`` of a logistic regression; None for an MLP and for a head that was read from the disk"""

    @property
    def parameters(self) -> int:
        return sum(int(weight.size + bias.size) for weight, bias in self.layers)

    def probabilities(self, features: Matrix) -> NDArray[np.float64]:
        """Of every class ``(rows, classes)``; features dense or sparse."""
        import numpy as np

        rows: Any = features if self.mean is None else (features - self.mean) / self.scale
        for number, (weight, bias) in enumerate(self.layers):
            rows = rows @ weight + bias
            if number + 1 < len(self.layers):
                rows = _gelu(rows)
        rows = np.asarray(rows, np.float64)
        rows = np.exp(rows - rows.max(1, keepdims=True))
        return np.asarray(rows / rows.sum(1, keepdims=True))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Everything numeric, by name, for safetensors."""
        held: dict[str, NDArray[np.float32]] = {}
        if self.mean is not None and self.scale is not None:
            held |= {"mean": self.mean, "scale": self.scale}
        for number, (weight, bias) in enumerate(self.layers):
            held |= {f"layer.{number}.weight": weight, f"layer.{number}.bias": bias}
        return held


def head_from(arrays: Mapping[str, Any], settings: str) -> Head:
    """The head that :meth:`Head.arrays` gave. Raises :class:`KeyError`."""
    count = sum(name.endswith(".weight") for name in arrays)
    layers = tuple((arrays[f"layer.{number}.weight"], arrays[f"layer.{number}.bias"]) for number in range(count))
    if not layers:
        raise KeyError("layer.0.weight")
    return Head(arrays.get("mean"), arrays.get("scale"), layers, settings)


def logistic(
    method: str,
    train: tuple[Matrix, Sequence[int]],
    validation: tuple[Matrix, Sequence[int]],
    control: Control,
    *,
    classes: int,
    class_weights: bool = False,
    standardise: bool = True,
    grid: Sequence[float] = GRID,
    widen: bool = False,
    told: bool = True,
) -> Generator[Event, None, Head]:
    """Multinomial logistic regression, its ``C`` chosen by the loss on validation, from strong to weak penalties.

    With ``widen`` the grid, of two values or more, goes on beyond its edge while the edge is chosen, within ``WIDEST``.
    Yields :class:`ContenderStep` as the solver goes on and for each value of ``C``, if ``told``. Raises
    :class:`engine.runs.messages.Stopped`.
    """
    rows = train[0]
    mean = scale = None
    looked: Matrix = validation[0]
    if standardise:
        mean, scale = _standard(rows)
        rows, looked = (rows - mean) / scale, (looked - mean) / scale
    best: tuple[float, float, float, Any] | None = None
    worse, step, loss = 0, 0, float("nan")
    begun = shown = time.monotonic()
    model = LogisticRegression(rows, train[1], class_weights=class_weights)
    pending, tried = list(grid), list[float]()
    while pending:
        tried.append(penalty := pending.pop(0))
        for loss in model.solve(penalty):
            step += 1
            if told and time.monotonic() - shown >= PROGRESS_EVERY:
                shown = time.monotonic()
                yield ContenderStep(method, step, 0, loss, None, None, None, f"C = {penalty:g}")
            yield from handle_messages(control, step)
        layer = model.layer(classes)
        found = Head(None, None, (layer,), "").probabilities(looked)
        missed, right = statistics.log_loss(found, validation[1]), statistics.accuracy(found, validation[1])
        better = best is None or missed < best[0]
        if better:
            best = (missed, right, penalty, layer)
        assert best is not None
        worse = 0 if better else worse + 1
        if told:
            left = (time.monotonic() - begun) / len(tried) * len(pending)
            yield ContenderStep(method, step, 0, loss, missed, right, round(left, 1), f"C = {penalty:g}")
        if worse >= 2:
            pending.clear()
        if widen and not pending:
            pending = _beyond(tried, best[2])
    assert best is not None
    return Head(mean, scale, (best[3],), f"C = {best[2]:g}", best[1], best[2])


def fit_once(
    rows: Matrix, labels: Sequence[int], classes: int, penalty: float, control: Control
) -> Generator[Event, None, Head]:
    """Logistic regression with a given ``C`` on standardised features, without validation."""
    mean, scale = _standard(rows)
    model = LogisticRegression((rows - mean) / scale, labels)
    for step, _ in enumerate(model.solve(penalty)):
        yield from handle_messages(control, step)
    return Head(mean, scale, (model.layer(classes),), f"C = {penalty:g}", penalty=penalty)


@or_on_cpu
def mlp(
    method: str,
    train: tuple[NDArray[np.float32], Sequence[int]],
    validation: tuple[NDArray[np.float32], Sequence[int]],
    control: Control,
    *,
    classes: int,
    class_weights: bool = False,
    seed: int = 1337,
    device: str = "cpu",
) -> Generator[Event, None, Head]:
    """One hidden layer with GELU and dropout on standardised features, all rows on the device; the best epoch is kept.

    Ends when validation stops improving. Where the device has no memory for it, it is trained on the CPU. Yields a
    :class:`ContenderStep` an epoch. Raises :class:`Stopped`.
    """
    import numpy as np
    import torch

    from engine.device import threads

    torch.manual_seed(seed)
    mean, scale = _standard(train[0])
    rows = torch.from_numpy((train[0] - mean) / scale).to(device)
    looked = torch.from_numpy((validation[0] - mean) / scale).to(device)
    labels = torch.tensor(np.asarray(train[1])).to(device)
    model = torch.nn.Sequential(
        torch.nn.Dropout(DROPOUT / 2),
        torch.nn.Linear(rows.shape[1], HIDDEN),
        torch.nn.GELU(),
        torch.nn.Dropout(DROPOUT),
        torch.nn.Linear(HIDDEN, classes),
    ).to(device)
    weights = balanced(train[1], classes).to(device) if class_weights else None
    criterion = torch.nn.CrossEntropyLoss(weights)

    def judge() -> tuple[float, float]:
        found = model(looked).cpu().double().softmax(1).numpy()  # not every device has float64
        return statistics.log_loss(found, validation[1]), statistics.accuracy(found, validation[1])

    # Sharing out products this small costs more than it brings, and most of all where others use the machine.
    count = 1 if min(BATCH, len(rows)) * rows.shape[1] * HIDDEN < SMALL else physical_cores()
    best = yield from fit_epochs(
        method,
        model,
        order=lambda: torch.randperm(len(rows)).to(device),
        loss=lambda some: criterion(model(rows[some]), labels[some]),
        judge=judge,
        control=control,
        settings=FitSettings(),
        threads=partial(threads, count),
    )
    layers = tuple(_linear(layer) for layer in model if isinstance(layer, torch.nn.Linear))
    return Head(mean, scale, layers, f"{HIDDEN} hidden units, epoch {best.epoch}", best.score)


def _beyond(tried: Sequence[float], chosen: float) -> list[float]:
    """The next value of C beyond the edge of those that were tried; none where another was chosen."""
    ordered = sorted(tried)
    following = {ordered[0]: ordered[1] / 10, ordered[-1]: ordered[-2] * 10}.get(chosen, 0.0)
    return [float(f"{following:g}")] if WIDEST[0] <= following <= WIDEST[1] else []


def _standard(rows: Matrix) -> tuple[Any, Any]:
    """Mean and spread of every feature, through scikit-learn; a constant feature keeps its size."""
    import numpy as np
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows)
    return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)


def _linear(layer: Any) -> tuple[Any, Any]:
    return layer.weight.detach().T.cpu().contiguous().numpy(), layer.bias.detach().cpu().numpy().copy()


def _gelu(rows: Any) -> Any:
    import numpy as np
    from scipy.special import erf

    return rows * 0.5 * (1.0 + erf(rows / np.float32(2**0.5)))
