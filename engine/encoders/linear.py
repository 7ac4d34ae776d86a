"""Linear layers of a frozen model on a CPU: their float32 products by oneDNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneDnnLinear(nn.Linear):
    """``nn.Linear`` without gradients, through the operator that torch's own compiler uses on a CPU.

    torch gives float32 products to MKL, which knows no AVX-512 on processors that are not Intel's: oneDNN took half
    the time on an AMD EPYC. The sums are in another order, so results differ by the rounding of float32.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``(…, in_features)`` to ``(…, out_features)``, float32."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return product


def has_onednn() -> bool:
    """Whether torch was built with oneDNN and has its operator."""
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a float32 model on a CPU, ``Conv1D`` of GPT-2 included, compute through oneDNN.

    Changes nothing where torch was built without oneDNN.
    """
    from transformers.pytorch_utils import Conv1D

    if not has_onednn():
        return
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if type(part) is nn.Linear:
                weight = part.weight
            elif isinstance(part, Conv1D):
                weight = nn.Parameter(part.weight.T.contiguous(), requires_grad=False)
            else:
                continue
            layer = OneDnnLinear(weight.shape[1], weight.shape[0], device="meta")
            layer.weight, layer.bias = weight, part.bias
            setattr(parent, name, layer.eval())
