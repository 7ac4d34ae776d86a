"""Encoders on the device: the losses of every training against the CPU's, and the speed of features."""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data import tables
from engine.bench import setups
from engine.bench.machine import of_pairs, timed
from engine.bench.rows import Row, judged, measured, skipped, spread, within
from engine.bench.setup import Setup
from engine.encoders import find
from engine.encoders.encode import encode_now, machine_for
from engine.encoders.index import Exact, unit
from engine.encoders.padding import padded
from engine.runs.messages import finish

LENGTH = 128  # tokens of a text at most
TOGETHER = 32  # texts in a batch of the loops that ours is compared with
PAIRS = 5
SENTENCES = 8  # of the bundled questions in a text at most


def encoders(setup: Setup) -> Iterator[Row]:
    """The losses of the batches or epochs of every training, from the same weights on both devices.

    A GPU computes with TF32, a whole encoder with bfloat16.
    """
    rows, epochs = setup.of(32, 320), setup.of(2, 10)
    setups.place(setup)  # sets torch up as a task does
    with tempfile.TemporaryDirectory() as folder:
        found = setups.encoder(setup, Path(folder))

        def bi_encoder(device: str, mode: str) -> list[float]:
            return setups.epoch_losses(setups.bi_encoder(found, device, mode, rows))

        trainings: tuple[tuple[str, float, Callable[[str], list[float]]], ...] = (
            ("MLP on features", 2e-2, lambda device: setups.mlp_losses(device, rows * 4, epochs)),
            ("scorer of choices", 2e-2, lambda device: setups.scorer_losses(device, rows, epochs)),
            ("bi-encoder, projection", 2e-2, lambda device: bi_encoder(device, "projection")),
            ("bi-encoder, whole encoder", 5e-2, lambda device: bi_encoder(device, "whole")),
            ("fine-tuning", 5e-2, lambda device: setups.epoch_losses(setups.fine_tuning(found, device, rows))),
        )
        for name, limit, losses in trainings:
            wanted, there = losses("cpu"), losses(setup.device)
            # One of them may stop an epoch earlier than the other.
            apart = max(abs(one - other) for one, other in zip(wanted, there, strict=False))
            compared = f"{name}: {min(len(wanted), len(there))} losses, CPU and device"
            yield within(compared, apart, limit, last_on_CPU=wanted[-1], last_on_device=there[-1])


def features(setup: Setup) -> Iterator[Row]:
    """Texts per second of a random encoder of MiniLM's shape, against others."""
    given, _ = setups.texts(setup.of(32, 4096))
    setups.place(setup)
    with tempfile.TemporaryDirectory() as folder:
        yield from _against_others(setup, setups.encoder(setup, Path(folder)), given, LENGTH)


def encode(setup: Setup) -> Iterator[Row]:
    """Texts per second of the bundled MiniLM, or of ``setup.model``, against others.

    Texts of one to several sentences of the bundled questions, in no order of length.
    """
    setups.place(setup)
    found, rng = finish(find.find(setup.model or "minilm")), random.Random(1)
    sentences = tables.load(tables.BUNDLED).train.texts
    given = [" ".join(rng.sample(sentences, rng.randint(1, SENTENCES))) for _ in range(setup.of(16, 200))]
    yield from _against_others(setup, found, given, min(256, found.positions))


def search(setup: Setup) -> Iterator[Row]:
    """Milliseconds a query among random unit vectors, one at a time, against a plain product and sort."""
    count, queries, nearest = setup.of(1000, 100_000), setup.of(10, 200), 10
    rng = np.random.default_rng(1337)
    vectors = unit(rng.standard_normal((count, 384), np.float32))
    asked = unit(rng.standard_normal((queries, 384), np.float32))
    index = Exact(vectors)
    index.search(asked[:1], nearest)
    times, same, apart = [], 0, 0.0
    for row in range(queries):
        begun = time.perf_counter()
        found, scores = index.search(asked[row : row + 1], nearest)
        times.append(time.perf_counter() - begun)
        products = vectors @ asked[row]
        order = np.argsort(-products, kind="stable")[:nearest]
        same += bool((found[0] == order).all())
        apart = max(apart, float(np.abs(scores[0] - products[order]).max()))
    yield measured(
        f"the {nearest} nearest of {count:,} vectors of 384 numbers, {queries} queries one by one",
        **spread("ms", times, 1e3),
        ms_99th_percentile=float(np.quantile(times, 0.99)) * 1e3,
    )
    reason = "other rows than by brute force"
    rows = f"{same} of {queries}"
    yield judged("rows by brute force", same == queries, "equal", reason, same=rows, scores_apart=apart)


def _against_others(setup: Setup, found: Any, given: list[str], length: int) -> Iterator[Row]:
    """Features with the mean of the last layer, tokenization included: ours and other loops in pairs.

    Processor time is compared too: other processes take little from it.
    """
    device = setups.place(setup).device
    machine = machine_for(found, setup.device)
    plain_model = found.open(setup.device, str(next(machine.model.parameters()).dtype).removeprefix("torch."))
    others: dict[str, Callable[[], Any]] = {"a plain padded loop": lambda: _plain(found, plain_model, given, length)}
    library = "sentence-transformers"
    if setup.quick:
        yield skipped(f"features, ours and {library}", "takes longer to load than a quick check")
    elif importlib.util.find_spec("sentence_transformers") is None:
        yield skipped(f"features, ours and {library}", "not measured: not installed")
    else:
        theirs = _library(found, plain_model, length)
        others[library] = lambda: theirs.encode(given, batch_size=TOGETHER, show_progress_bar=False)

    def ours() -> Any:
        return encode_now(given, machine, length, "mean")

    for name, loop in others.items():
        ours()
        loop()
        pairs = [(timed(device, ours), timed(device, loop)) for _ in range(setup.of(1, PAIRS))]
        compared = f"features of {len(given):,} texts by {found.name}, ours and {name}"
        mine, theirs_too = (np.asarray(one[0], np.float32) for one in pairs[-1])
        yield same_features(f"{compared}: their numbers", mine, theirs_too, machine)
        yield measured(
            compared,
            **of_pairs(pairs, "texts", len(given)),
            largest_difference=float(np.abs(mine - theirs_too).max()),
        )


def same_features(compared: str, ours: Any, others: Any, machine: Any) -> Row:
    """Features computed twice in different batches: the length of the difference, relative to that of the features."""
    half = "bfloat16" in str(next(machine.model.parameters()).dtype)
    return within(compared, float(np.linalg.norm(ours - others) / np.linalg.norm(ours)), 2e-2 if half else 1e-4)


def _plain(found: Any, model: Any, given: list[str], length: int) -> Any:
    """Batches in the order of the texts, padded to their longest; the mean of the last layer's tokens."""
    parts = []
    for start in range(0, len(given), TOGETHER):
        ids, mask = padded(found.ids(given[start : start + TOGETHER], length), str(model.device))
        with torch.inference_mode():
            top = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        parts.append(((top * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).cpu())
    return torch.cat(parts)


def _library(found: Any, model: Any, length: int) -> Any:
    """The same weights and tokenizer as sentence-transformers takes them, pooled by the mean, in the same precision."""
    library: Any = importlib.import_module("sentence_transformers")
    parts: Any = importlib.import_module("sentence_transformers.models")
    special = {"pad_token": found.tokenizer.token(0), "tokenizer_class": "PreTrainedTokenizerFast"}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        found.tokenizer.backend.save(f"{folder}/tokenizer.json")
        Path(folder, "tokenizer_config.json").write_text(json.dumps({**special, "model_max_length": length}))
        base = parts.Transformer(folder, max_seq_length=length, model_kwargs={"dtype": model.dtype})
        return library.SentenceTransformer(modules=[base, parts.Pooling(found.width)], device=str(model.device))
