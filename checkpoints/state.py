"""A model and its optimizer as bytes, and back: safetensors, parameters by name, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from checkpoints.store import CheckpointError

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """Copies on the host of everything a checkpoint holds as tensors. Later training does not change them."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]

    def encode(self) -> dict[str, bytes]:
        """File contents by name."""
        return {MODEL: to_safetensors(self.model), OPTIMIZER: to_safetensors(self.optimizer)}


def capture(model: nn.Module, optimizer: torch.optim.Optimizer) -> Snapshot:
    """Copy parameters and optimizer state to the host. A tied parameter is held once."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    states = {
        f"{names[parameter]}.{key}": _copy(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }
    return Snapshot({name: _copy(parameter) for parameter, name in names.items()}, states)


def restore_model(model: nn.Module, contents: Mapping[str, bytes]) -> None:
    """Load parameters into ``model``. Raises :class:`checkpoints.store.CheckpointError` when they do not fit."""
    tensors = _tensors(contents, MODEL)
    own = dict(model.named_parameters())
    if set(tensors) != set(own) or any(tensors[name].shape != own[name].shape for name in own):
        raise CheckpointError("the checkpoint's parameters do not fit the model that its spec describes")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, contents: Mapping[str, bytes]) -> None:
    """Load optimizer state for the parameters of ``model``, in place of what there was.

    Raises :class:`checkpoints.store.CheckpointError` when it does not fit.
    """
    tensors = _tensors(contents, OPTIMIZER)
    parameters = dict(model.named_parameters())
    fused = any(group.get("fused") for group in optimizer.param_groups)
    states: dict[str, dict[str, Any]] = {name: {} for name in parameters}
    for full, tensor in tensors.items():
        name, _, key = full.rpartition(".")
        if name not in states or (tensor.dim() and tensor.shape != parameters[name].shape):
            raise CheckpointError("the checkpoint's optimizer state does not fit the model that its spec describes")
        states[name][key] = tensor
    optimizer.state.clear()
    for name, state in states.items():
        if state:
            parameter = parameters[name]
            # Fused AdamW keeps its step counter beside the parameter, any other on the CPU.
            optimizer.state[parameter] = {
                key: value if key == "step" and not fused else value.to(parameter.device)
                for key, value in state.items()
            }


def _tensors(contents: Mapping[str, bytes], name: str) -> dict[str, Tensor]:
    try:
        return from_safetensors(contents[name])
    except (KeyError, SafetensorError) as error:
        raise CheckpointError(f"the checkpoint has no readable {name} ({error})") from None


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()
