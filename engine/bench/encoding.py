"""Encoders on the device: the losses of every training against the CPU's, and the speed of features."""

from __future__ import annotations

import importlib
import importlib.util
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.bench import setups
from engine.bench.machine import seconds_of
from engine.bench.rows import Row, measured, skipped, within
from engine.bench.setups import Setup

LENGTH = 128  # tokens of a text at most
TOGETHER = 32  # texts in a batch of the loops that ours is compared with
PAIRS = 3


def encoders(setup: Setup) -> Iterator[Row]:
    """The losses of the batches or epochs of every training, from the same weights on both devices.

    A GPU computes with TF32, a whole encoder with bfloat16.
    """
    rows, epochs = setup.of(32, 320), setup.of(2, 10)
    setups.place(setup)  # sets torch up as a task does
    with tempfile.TemporaryDirectory() as folder:
        found = setups.encoder(setup, Path(folder))
        trainings: tuple[tuple[str, float, Callable[[str], list[float]]], ...] = (
            ("MLP on features", 2e-2, lambda device: setups.mlp_losses(device, rows * 4, epochs)),
            ("scorer of choices", 2e-2, lambda device: setups.scorer_losses(device, rows, epochs)),
            ("bi-encoder, projection", 2e-2, lambda device: _bi_encoder(found, device, "projection", rows)),
            ("bi-encoder, whole encoder", 5e-2, lambda device: _bi_encoder(found, device, "whole", rows)),
            ("fine-tuning", 5e-2, lambda device: setups.epoch_losses(setups.fine_tuning(found, device, rows))),
        )
        for name, limit, losses in trainings:
            wanted, there = losses("cpu"), losses(setup.device)
            # One of them may stop an epoch earlier than the other.
            apart = max(abs(one - other) for one, other in zip(wanted, there, strict=False))
            compared = f"{name}: {min(len(wanted), len(there))} losses, CPU and device"
            yield within(compared, apart, limit, last_on_CPU=wanted[-1], last_on_device=there[-1])


def features(setup: Setup) -> Iterator[Row]:
    """Texts per second, tokenization included, of our encoding with every pooling, and of others with one."""
    import numpy as np

    from engine.encoders.encode import encode_now

    given, _ = setups.texts(setup.of(32, 4096))
    device = setups.place(setup).device
    with tempfile.TemporaryDirectory() as folder:
        found = setups.encoder(setup, Path(folder))
        machine = setups.encoding(found, setup.device)
        plain_model = found.open(setup.device, str(next(machine.model.parameters()).dtype).removeprefix("torch."))
        others: dict[str, Callable[[], Any]] = {"a plain padded loop": lambda: _plain(found, plain_model, given)}
        library = "sentence-transformers"
        if setup.quick:
            yield skipped(f"features, ours and {library}", "takes longer to load than a quick check")
        elif importlib.util.find_spec("sentence_transformers") is None:
            yield skipped(f"features, ours and {library}", "not installed")
        else:
            theirs = _library(Path(folder), plain_model)
            others[library] = lambda: theirs.encode(given, batch_size=TOGETHER, show_progress_bar=False)
        vectors: dict[str, Any] = {}

        def ours() -> None:
            vectors["ours"] = encode_now(given, machine, LENGTH, "mean")

        for name, loop in others.items():

            def other(loop: Callable[[], Any] = loop) -> None:
                vectors["other"] = np.asarray(loop(), np.float32)

            ours()
            other()
            pairs = [(seconds_of(device, ours), seconds_of(device, other)) for _ in range(setup.of(1, PAIRS))]
            compared = f"features of {len(given):,} texts, ours and {name}"
            yield same_features(f"{compared}: their numbers", vectors["ours"], vectors["other"], machine)
            yield measured(
                compared,
                ours_texts_per_s=len(given) / statistics.median(mine for mine, _ in pairs),
                other_texts_per_s=len(given) / statistics.median(theirs for _, theirs in pairs),
                ours_times_as_fast=statistics.median(theirs / mine for mine, theirs in pairs),
            )


def same_features(compared: str, ours: Any, others: Any, machine: Any) -> Row:
    """Features computed twice in different batches: the length of the difference, relative to that of the features."""
    import numpy as np

    half = "bfloat16" in str(next(machine.model.parameters()).dtype)
    return within(compared, float(np.linalg.norm(ours - others) / np.linalg.norm(ours)), 2e-2 if half else 1e-4)


def _bi_encoder(found: Any, device: str, mode: str, rows: int) -> list[float]:
    return setups.epoch_losses(setups.bi_encoder(found, device, mode, rows))


def _plain(found: Any, model: Any, given: list[str]) -> Any:
    """Batches in the order of the texts, padded to their longest; the mean of the last layer's tokens."""
    import torch

    from engine.encoders.padding import padded

    parts = []
    for start in range(0, len(given), TOGETHER):
        ids, mask = padded(found.ids(given[start : start + TOGETHER], LENGTH), str(model.device))
        with torch.inference_mode():
            top = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        parts.append(((top * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).cpu())
    return torch.cat(parts)


def _library(folder: Path, model: Any) -> Any:
    """The same weights and tokenizer as sentence-transformers takes them, pooled by the mean, in the same precision."""
    special = {"pad_token": "[PAD]", "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    library: Any = importlib.import_module("sentence_transformers")
    return library.SentenceTransformer(str(folder), device=str(model.device), model_kwargs={"dtype": model.dtype})
