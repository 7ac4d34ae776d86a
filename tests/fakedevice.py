"""A device that is made up: its tensors lie on the CPU, and what the host asks them for is counted.

A tensor is the host's when it was made from Python or numpy, came back by ``.cpu()``, or follows from one of these;
sending it with ``.to`` makes it the device's. Everything else is the device's.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode

READS = {"item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__int__", "__float__", "__index__", "__array__"}
FROM_HOST = {"tensor", "as_tensor"}


class Host(Tensor):
    """A tensor of the host; what is computed with it is of the host too."""


class FakeDevice(TorchFunctionMode):
    """While it is entered, counts in ``reads`` what waits for the device, and may refuse float64 there."""

    def __init__(self, *, float64: bool = True) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.copies = 0
        """of the host's tensors that were not sent by ``engine.device.send``, so that the host waits for them"""
        self._float64 = float64
        self._updating = False

    def __enter__(self) -> FakeDevice:
        # On a CPU AdamW asks for its own step number; fused, as on a GPU, it does not.
        self._hooks = [
            register_optimizer_step_pre_hook(lambda *_: setattr(self, "_updating", True)),
            register_optimizer_step_post_hook(lambda *_: setattr(self, "_updating", False)),
        ]
        # What makes a tensor of an array is asked of no mode.
        self._from_numpy, torch.from_numpy = torch.from_numpy, lambda array: self._from_numpy(array).as_subclass(Host)
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        torch.from_numpy = self._from_numpy
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = [one for one in _flat((args, kwargs)) if isinstance(one, Tensor)]
        if name == "__get__":
            return func(*args, **kwargs)
        deciding = given[:1] if name in ("__getitem__", "__setitem__") else [one for one in given if one.dim()] or given
        on_host = any(isinstance(one, Host) for one in deciding)  # others may not meet there
        waits = name in READS or (name in ("__getitem__", "__setitem__") and _masked(args[1]))
        if given and waits and not on_host and not self._updating:
            self.reads.append(name)
        sent = (
            name == "to" and on_host and any(isinstance(one, str | torch.device) for one in _flat((args[1:], kwargs)))
        )
        if sent and not sys._getframe(1).f_code.co_filename.endswith("engine/device.py"):
            self.copies += 1
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if name == "cpu" or (name in FROM_HOST and kwargs.get("device") is None):
            on_host = True
        elif sent or name == "cuda":
            on_host = False
        return self._marked(result, on_host)

    def _marked(self, result: Any, on_host: bool) -> Any:
        if isinstance(result, tuple | list) and not isinstance(result, torch.Size):
            made = [self._marked(one, on_host) for one in result]
            return made if isinstance(result, list) else _like(result, made)
        if not isinstance(result, Tensor) or isinstance(result, torch.nn.Parameter):
            return result
        if on_host:
            return result.as_subclass(Host)
        if result.dtype == torch.float64 and not self._float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return result.as_subclass(Tensor) if isinstance(result, Host) else result


def _like(result: Any, made: list[Any]) -> Any:
    return tuple(made) if type(result) is tuple else type(result)(made)


def _masked(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(one, Tensor | np.ndarray) and str(one.dtype).endswith("bool") for one in parts)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [one for part in value for one in _flat(part)]
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return [value]
