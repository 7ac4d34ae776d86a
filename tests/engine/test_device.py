"""Where a task computes, on a machine whose GPUs are made up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine import device as module
from engine.comparison import fields
from engine.device import place
from engine.gpt.spec import TrainSpec
from engine.runs.spec import BadSpec, changed, check_device, options

GIB = 2**30


class Cuda:
    """Two GPUs of 80 GiB and one of 24; the second is free, the others are used."""

    used = [70.0, 1.0, 2.0]
    total = [80.0, 80.0, 24.0]

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        self.contexts: list[int] = []
        self.current = 0
        self.capability = [9, 9, 7]
        for name in (
            "is_available", "device_count", "get_device_properties", "device_memory_used", "mem_get_info",
            "memory_reserved", "set_device", "get_device_name", "device", "is_bf16_supported",
        ):  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch, "set_float32_matmul_precision", self.set_precision)
        self.precision = ""
        for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)

    def set_precision(self, name: str) -> None:
        self.precision = name

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return len(self.used)

    def get_device_properties(self, number: int) -> Any:
        return SimpleNamespace(name=f"GPU {'ABC'[number]}", total_memory=int(self.total[number] * GIB))

    def device_memory_used(self, number: int) -> int:
        self.asked.append(number)
        return int(self.used[number] * GIB)

    def mem_get_info(self, number: Any) -> tuple[int, int]:
        self.contexts.append(number)
        return int((self.total[number] - self.used[number]) * GIB), int(self.total[number] * GIB)

    def memory_reserved(self, number: int) -> int:
        return 0

    def set_device(self, where: torch.device) -> None:
        assert where.index is not None
        self.current = where.index

    def get_device_name(self, where: torch.device) -> str:
        return f"GPU {'ABC'[where.index]}"

    @contextlib.contextmanager
    def device(self, where: torch.device) -> Iterator[None]:
        before, self.current = self.current, where.index or 0
        yield
        self.current = before

    def is_bf16_supported(self, including_emulation: bool) -> bool:
        assert not including_emulation
        return self.capability[self.current] >= 8


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    module._gpus.cache_clear()
    module._told.clear()
    threads = torch.get_num_threads()
    yield Cuda(monkeypatch)
    module._gpus.cache_clear()
    module._told.clear()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_auto_takes_the_gpu_with_the_most_free_memory_and_says_which_and_which_are_busy(asked: str, cuda: Cuda) -> None:
    placement = place(asked)
    assert (placement.device, placement.name, cuda.current) == (torch.device("cuda", 1), "GPU B", 1)
    assert not cuda.contexts  # asking took no memory on the others
    chosen, busy = [notice.text for notice in placement.notices()]
    assert chosen == f"{asked} takes the GPU with the most free memory: cuda:1 (GPU B, 79.0 of 80.0 GiB free)"
    assert busy == "in use by other processes: cuda:0 (GPU A, 10.0 of 80.0 GiB free)"
    assert list(place(asked).notices()) == []  # said once in a process


def test_the_choice_stays_when_this_process_fills_the_gpu(cuda: Cuda) -> None:
    assert place().device.index == 1
    cuda.used = [0.0, 79.0, 0.0]
    assert place().device.index == 1
    assert cuda.asked == [0, 1, 2]


def test_without_nvidias_library_the_driver_tells_the_free_memory(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(number: int) -> int:
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "device_memory_used", missing)
    assert place().device.index == 1
    assert cuda.contexts == [0, 1, 2]


def test_a_gpu_is_taken_by_its_number_in_its_own_precision(cuda: Cuda) -> None:
    old, new = place("cuda:2"), place("cuda:1")
    assert (old.device, old.dtype, old.precision) == (torch.device("cuda", 2), torch.float32, "float32")
    assert (new.device, new.dtype, new.precision) == (torch.device("cuda", 1), torch.bfloat16, "bfloat16")
    assert cuda.precision == "high"  # TF32 for what stays in float32
    assert isinstance(old.autocast(), contextlib.nullcontext)
    assert [notice.text for notice in place("cuda:0").notices()] == [
        "in use by other processes: cuda:0 (GPU A, 10.0 of 80.0 GiB free)"
    ]
    assert list(new.notices()) == []


def test_a_rank_takes_its_own_gpu_and_its_share_of_the_threads(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "physical_cores", lambda: 8)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    placement = place()
    assert (placement.device.index, placement.threads) == (2, 2)
    with pytest.raises(BadSpec, match="device: cuda:1 is one GPU, and several processes train"):
        place("cuda:1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(BadSpec, match="gpus: there are 3, and 4 processes want one each"):
        place()


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(cuda: Cuda) -> None:
    with pytest.raises(BadSpec, match="device: there is no cuda:3 here; there are: cuda:0, cuda:1, cuda:2"):
        place("cuda:3")


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "mps", "cuda:0", "cuda:15"])
def test_every_task_takes_a_kind_or_one_gpu(text: str) -> None:
    assert changed(TrainSpec(), {"device": text}).device == text
    check_device(text)


@pytest.mark.parametrize(
    "text", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:01", "cpu:1", "mps:0", "cuda:1:2", "auto:1"]
)
def test_what_names_no_device_is_refused_with_what_does(text: str) -> None:
    with pytest.raises(BadSpec, match="is none of auto, cpu, cuda, mps, cuda:N"):
        check_device(text)
    problems = replace(TrainSpec(), device=text).validate()
    assert "is none of auto, cpu, cuda, mps, cuda:N" in next(one.message for one in problems if one.field == "device")


def test_one_gpu_by_number_and_several_are_a_contradiction() -> None:
    (problem,) = replace(TrainSpec(), device="cuda:1", gpus="2").validate()
    assert (problem.field, problem.message) == ("device", "cuda:1 is one GPU: with several, use auto or cuda")


def test_comparisons_and_training_have_the_same_devices() -> None:
    of_comparison, of_training = fields.device().metadata["option"], options(TrainSpec)["device"]
    assert (of_comparison.choices, of_comparison.numbered) == (of_training.choices, of_training.numbered)


def test_exact_products_are_computed_without_tf32_and_put_it_back() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with module.exact_products():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
