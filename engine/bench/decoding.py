"""Decoding on the device: against the plain step, the CPU, and ``generate`` of transformers, in tokens and in time."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bench import setups
from engine.bench.machine import bandwidth, seconds_of
from engine.bench.rows import Row, judged, measured, skipped, within
from engine.bench.setups import Setup

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

SMALL = {"n_layer": 3, "n_head": 4, "n_embd": 64, "initializer_range": 0.3}
PROMPT = 100  # tokens
SETTINGS: tuple[dict[str, Any], ...] = (
    {"top_k": 0},
    {"top_k": 40},
    {"top_k": 0, "top_p": 0.9},
    {"top_k": 0, "min_p": 0.05},
    {"top_k": 200, "top_p": 0.95, "temperature": 0.7},
    {"top_k": 50, "repetition_penalty": 1.3},
    {"greedy": True, "repetition_penalty": 1.3},
)


def sample(setup: Setup) -> Iterator[Row]:
    """The bundled Dante GPT with a captured decoding step and with the plain one."""
    plain, graph = (setups.dante_model(setup, captured=captured) for captured in (False, True))
    ids = _prompt(plain, setup.of(24, plain.context))
    apart = max(float((plain.feed([token]) - graph.feed([token])).abs().max()) for token in ids)
    yield within(f"logits of {len(ids)} tokens fed one by one, plain and captured", apart, 1e-3)
    count = setup.of(24, 300)  # beyond the end of the context, but for a quick check
    wanted, found = (
        [token for seed in range(3) for token in _complete(lm, ids[:20], count, seed)[0]] for lm in (plain, graph)
    )
    yield _agreeing("three samples, plain and captured", wanted, found)


def greedy(setup: Setup) -> Iterator[Row]:
    """A small random GPT-2 in float32 without TF32, in which every token has one that is clearly the most probable."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        setups.gpt2_folder(Path(folder), torch.float32, **SMALL)
        ours = setups.language_model(setup, Path(folder), exact=True)
        theirs = _transformers(folder, torch.float32, setup)
    ids, count = _prompt(ours, 120), setup.of(8, 64)
    wanted: list[int] = []
    found: list[int] = []
    for start in range(0, 120, 40):
        prompt = ids[start : start + 40]
        found += _complete(ours, prompt, count)[0]
        wanted += _generate(theirs, prompt, count)[0]
    yield _agreeing("greedy decoding of a random GPT-2, generate and ours", wanted, found)


def processors(setup: Setup) -> Iterator[Row]:
    """Draws from the same random logits with the same numbers, on the CPU and on the device."""
    import torch

    from engine.lm import processors as cuts
    from engine.lm.sampling import Sampling

    size, count = setup.of(5000, 50257), setup.of(5, 40)
    draws = torch.Generator().manual_seed(5)
    ids: dict[str, list[int]] = {"cpu": [], "there": []}
    logprobs: dict[str, list[float]] = {"cpu": [], "there": []}
    for number, given in itertools.product(range(count), SETTINGS):
        logits = torch.randn(size, generator=draws) * 3
        seen = torch.randint(size, (64,), generator=draws)
        sampling, u = Sampling(**given), cuts.number(11, number)
        for name, device in (("cpu", "cpu"), ("there", setup.device)):
            _, row = cuts.choose(logits.to(device), sampling, seen.to(device), u, 10)
            token = cuts.read(row.tolist(), sampling.greedy)
            assert token is not None
            ids[name].append(token.id)
            logprobs[name] += [token.logprob or 0.0, token.drawn_logprob or 0.0]
    yield _agreeing(f"draws under {len(SETTINGS)} settings, CPU and device", ids["cpu"], ids["there"])
    apart = max(abs(one - other) for one, other in zip(*logprobs.values(), strict=True))
    yield within("their log-probabilities, with and without the settings", apart, 1e-4)


def decode(setup: Setup) -> Iterator[Row]:
    """Tokens per second of a random GPT-2 124M, ours and ``generate``'s, and the share of the memory's bandwidth."""
    placement = setups.place(setup)
    with tempfile.TemporaryDirectory() as folder:
        setups.gpt2_folder(Path(folder), placement.dtype, **(SMALL if setup.quick else {}))
        ours, theirs = setups.language_model(setup, Path(folder)), _transformers(folder, placement.dtype, setup)
    limit, times = bandwidth(setup) / ours.bytes, setup.of(1, 3)
    name = f"decoding a GPT-2 of {ours.parameters / 1e6:.0f} M parameters in {ours.precision}"
    prompt, count = _prompt(ours, setup.of(20, PROMPT)), setup.of(8, 200)
    _complete(ours, prompt, 8)
    rate = statistics.median(_complete(ours, prompt, count)[1] for _ in range(times))
    how = "captured" if setups.decodes_captured(ours) else "eager"
    compared = f"{name}, ours, {how}, with 10 candidates a token"
    yield measured(compared, tokens_per_s=rate, ms_per_token=1e3 / rate, share_of_bandwidth=rate / limit)
    alone = _step_rate(ours, prompt, count)
    compared = f"{name}, ours, {how}, without choosing tokens"
    yield measured(compared, tokens_per_s=alone, ms_per_token=1e3 / alone, share_of_bandwidth=alone / limit)
    for how, given in (("eager", {}), ("a static cache", {"cache_implementation": "static"})):
        compared = f"{name}, generate with {how}"
        begun = time.perf_counter()
        try:
            _generate(theirs, prompt, count, **given)
        except Exception as error:  # of transformers or its compiler, whose fault is none of ours
            yield skipped(compared, f"generate raised {type(error).__name__}: {' '.join(str(error).split())[:150]}")
            continue
        warm = time.perf_counter() - begun
        other = statistics.median(_generate(theirs, prompt, count, **given)[1] for _ in range(times))
        yield measured(
            compared,
            tokens_per_s=other,
            ms_per_token=1e3 / other,
            share_of_bandwidth=other / limit,
            ours_times_as_fast=rate / other,
            seconds_of_warm_up=warm,
        )


def _prompt(lm: LanguageModel, length: int) -> list[int]:
    """The first tokens of the bundled verse."""
    from engine.lm.int8 import fixed_text

    return fixed_text(lm.tokenizer, length, lm.vocabulary)


def _complete(lm: LanguageModel, prompt: list[int], count: int, seed: int | None = None) -> tuple[list[int], float]:
    """A completion's tokens, greedy without a ``seed``, and how many came in a second after the first.

    The whole task as a pane drives it, with candidates, texts and events.
    """
    from engine.lm.generate import generate
    from engine.lm.sampling import GenerateSpec, Sampling
    from engine.runs.events import Completed, Token
    from engine.runs.messages import Control

    lm.forget()
    sampling = Sampling(greedy=seed is None, max_new_tokens=count, seed=seed or 0)
    events = list(generate(lm, GenerateSpec(ids=tuple(prompt), sampling=sampling), Control()))
    assert isinstance(events[-1], Completed)
    return [event.id for event in events if isinstance(event, Token)], events[-1].tokens_per_second


def _step_rate(lm: LanguageModel, prompt: list[int], count: int) -> float:
    """Decoding steps per second, each fed the same token of the device, so that none is waited for."""
    import torch

    lm.forget()
    lm.feed(prompt)
    token = torch.tensor(prompt[-1:], device=lm.device)

    def steps() -> None:
        for _ in range(count):
            lm.feed(prompt[-1:], there=token)

    return count / seconds_of(lm.device, steps)


def _transformers(folder: str, dtype: Any, setup: Setup) -> Any:
    from transformers import AutoModelForCausalLM

    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return found.eval().to(setup.device)


def _generate(theirs: Any, prompt: list[int], count: int, **given: Any) -> tuple[list[int], float]:
    """The same by ``generate``, timed by a streamer."""
    import torch
    from transformers.generation.streamers import BaseStreamer

    times: list[float] = []

    class Clock(BaseStreamer):
        def put(self, value: Any) -> None:
            times.append(time.perf_counter())

        def end(self) -> None:
            pass

    ids = torch.tensor([prompt], device=theirs.device)
    given |= {"do_sample": False, "max_new_tokens": count, "pad_token_id": 0, "streamer": Clock()}
    with torch.inference_mode():
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), **given)
    found: list[int] = out[0, len(prompt) :].tolist()
    return found, (len(times) - 2) / (times[-1] - times[1])  # the first call brings the prompt


def _agreeing(compared: str, wanted: list[int], found: list[int]) -> Row:
    """Tokens that must be the same, place by place."""
    same, total = sum(a == b for a, b in zip(wanted, found, strict=False)), max(len(wanted), len(found))
    reason = f"{total - same} of {total} tokens differ"
    return judged(compared, same == total > 0, "all equal", reason, equal_tokens=f"{same} of {total}")
