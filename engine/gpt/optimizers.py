"""AdamW, and Muon for the matrices of the blocks beside it.

Muon (Jordan et al. 2024) takes the direction of the momentum of a matrix's gradient and forgets its size: the matrix
``U Vᵀ`` of its singular vectors, found to a good part by a polynomial that needs products only (Newton-Schulz).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.device import has_bfloat16
from engine.gpt.model import GPT
from engine.gpt.spec import TrainSpec

MOMENTUM = "momentum"  # what a checkpoint calls it, after the parameter's name
ITERATIONS = 5  # of Newton-Schulz
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # drive singular values from (0, 1] to about 1, quickest at small ones


def build(model: GPT, spec: TrainSpec) -> torch.optim.Optimizer:
    """The optimizer that ``spec`` asks for. The learning rates of its groups are set by :func:`set_rate`."""
    matrices: list[Tensor] = []
    groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if spec.optimizer == "muon" and name.startswith("blocks.") and parameter.dim() == 2:
            matrices.append(parameter)
            continue
        share = {"tokens": spec.embedding_rate, "positions": spec.embedding_rate, "head": spec.head_rate}
        decays = spec.decay == "everything" or parameter.dim() >= 2
        groups[share.get(name.split(".")[0], 1.0), spec.weight_decay if decays else 0.0].append(parameter)
    rest = [
        {"params": parameters, "share": share, "weight_decay": decay} for (share, decay), parameters in groups.items()
    ]
    adam = torch.optim.AdamW(rest, lr=spec.learning_rate, betas=(spec.beta1, spec.beta2), fused=True)
    optimizer = Muon(matrices, adam, spec.learning_rate, spec.muon_momentum) if matrices else adam
    device = model.tokens.weight.device
    exact = torch.float64 if device.type == "cpu" else torch.float32  # what AdamW reads there
    for group in optimizer.param_groups:
        group["lr"] = torch.zeros((), dtype=exact, device=device)
    set_rate(optimizer, spec.learning_rate)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group to its share of ``rate``, in tensors that stay where they are."""
    for group in optimizer.param_groups:
        group["lr"].fill_(rate * group.get("share", 1.0))


def allocate(optimizer: torch.optim.Optimizer) -> None:
    """The optimizer's state, whole, before the first step; nothing where there is one.

    AdamW itself allocates it parameter by parameter and group by group in its first step: memory that runs out in
    between would leave half a state, and one group updated.
    """
    if optimizer.state:
        return
    state: dict[Tensor, dict[str, Tensor]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            zeros = [torch.zeros_like(parameter, memory_format=torch.preserve_format) for _ in range(2)]
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            adam = {"step": step, "exp_avg": zeros[0], "exp_avg_sq": zeros[1]}
            state[parameter] = {MOMENTUM: zeros[0]} if group.get(MOMENTUM) else adam
    optimizer.state.update(state)


class Muon(torch.optim.Optimizer):
    """Muon for ``matrices``, and ``rest`` for all else: one object with the groups and the state of both.

    Everything a step needs lies on the device and nothing is read back, so a step can be captured as a CUDA graph.
    Call :func:`allocate` first.
    """

    def __init__(self, matrices: list[Tensor], rest: torch.optim.Optimizer, rate: float, decay: float) -> None:
        super().__init__([{"params": matrices, MOMENTUM: decay}], {"lr": rate})
        self._own, self._rest = self.param_groups[0], rest
        self._precision = torch.bfloat16 if has_bfloat16(matrices[0].device) else torch.float32
        self.param_groups += rest.param_groups
        rest.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        keep, rate = self._own[MOMENTUM], self._own["lr"]
        parameters = [parameter for parameter in self._own["params"] if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters]
        momenta = [self.state[parameter][MOMENTUM] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - keep)
        ahead = torch._foreach_lerp(gradients, momenta, keep)  # Nesterov's
        shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter, direction in zip(parameters, ahead, strict=True):
            for pair in zip(separate(parameter), separate(direction), strict=True):
                rows, columns = pair[0].shape
                shapes[min(rows, columns), max(rows, columns)].append(pair)
        for (short, _), pairs in shapes.items():
            stacked = torch.stack([one if len(one) == short else one.mT for _, one in pairs])
            moves = orthogonal(stacked.to(self._precision)).to(stacked.dtype).mul_(rate)
            own = [move if len(one) == short else move.mT for (one, _), move in zip(pairs, moves, strict=True)]
            tall = [max(1.0, one.shape[0] / one.shape[1]) ** 0.5 for one, _ in pairs]
            torch._foreach_mul_(own, tall)
            torch._foreach_sub_([one for one, _ in pairs], own)
        self._rest.step()


def orthogonal(x: Tensor) -> Tensor:
    """``U Vᵀ`` of matrices ``(n, rows, columns)``, no more rows than columns, nearly: singular values of 0.7 to 1.2."""
    a, b, c = _COEFFICIENTS
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        squared = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(squared, squared, squared, beta=b, alpha=c), x, beta=a)
    return x


def separate(weight: Tensor) -> tuple[Tensor, ...]:
    """The matrices that stand in a linear layer's: those of queries, keys and values lie in one."""
    rows, columns = weight.shape
    return weight.chunk(3) if rows == 3 * columns else (weight,)
