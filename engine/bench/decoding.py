"""Decoding on the device: against the plain step, the CPU, and ``generate`` of transformers, in tokens and in time."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from engine.bench import setups
from engine.bench.machine import bandwidth, seconds_of
from engine.bench.rows import Row, judged, measured, skipped, spread, within
from engine.bench.setup import Setup
from engine.device import threads
from engine.gpt.trained import load, write_export
from engine.lm import find
from engine.lm import processors as cuts
from engine.lm.generate import generate, generate_together
from engine.lm.model import LanguageModel
from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Completed, Token
from engine.runs.messages import Control, finish

SMALL: Mapping[str, dict[str, Any]] = {
    "GPT-2": {"n_layer": 3, "n_head": 4, "n_embd": 64, "initializer_range": 0.3},
    "SmolLM2": {"num_hidden_layers": 3, "hidden_size": 36, "intermediate_size": 64, "initializer_range": 0.3},
}
ROWS = 8  # completions that are made together
PROMPT = 100  # tokens
PAIRS = 5
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
        [token for seed in range(3) for token in _complete(lm, ids[:20], count, seed).ids] for lm in (plain, graph)
    )
    yield _agreeing("three samples, plain and captured", wanted, found)


def greedy(setup: Setup) -> Iterator[Row]:
    """A small random GPT-2 in float32 without TF32, in which every token has one that is clearly the most probable."""
    yield from _against_generate(setup, "GPT-2", SMALL["GPT-2"])


def llama(setup: Setup) -> Iterator[Row]:
    """A random SmolLM2-135M likewise, by the captured step where there is CUDA."""
    yield from _against_generate(setup, "SmolLM2", SMALL["SmolLM2"] if setup.quick else {"initializer_range": 0.05})


def _against_generate(setup: Setup, name: str, shape: Mapping[str, Any]) -> Iterator[Row]:
    """In float32 without TF32: logits and greedy tokens against transformers, and samples together and alone."""
    with tempfile.TemporaryDirectory() as folder:
        setups.model_folder(Path(folder), torch.float32, name, **shape)
        ours: Any = finish(find.load(folder, device=setup.device))
        torch.set_float32_matmul_precision("highest")
        if setup.cuda:
            ours.use_static_step()  # captured anew, with these products
        theirs = by_transformers(folder, torch.float32, ours.device)
    how = f"a random {name} of {ours.parameters / 1e6:.0f} M parameters, {_how(ours)}"
    ids, count = _prompt(ours, 120), setup.of(8, 64)
    with torch.inference_mode():
        logits = theirs(torch.tensor([ids[:40]], device=ours.device)).logits[0]
    apart = max(float((ours.feed([token]) - place).abs().max()) for token, place in zip(ids[:40], logits, strict=True))
    yield within(f"logits of 40 tokens of {how}, transformers and ours fed one by one", apart, 1e-3)
    wanted: list[int] = []
    found: list[int] = []
    for start in range(0, 120, 40):
        prompt = ids[start : start + 40]
        found += _complete(ours, prompt, count).ids
        wanted += _generate(theirs, prompt, count).ids
    yield _agreeing(f"greedy decoding of {how}, generate and ours", wanted, found)
    count = setup.of(8, 24)  # and few candidates: the more bounds a number can fall between, the more rounding shows
    wanted, found = (_samples(ours, ids[:40], count, at_once, top_k=10).ids for at_once in (1, ROWS))
    yield _agreeing(f"{ROWS} samples of {how}, alone and together", wanted, found)


def processors(setup: Setup) -> Iterator[Row]:
    """Draws from the same random logits with the same numbers, on the CPU and on the device."""
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
    """Tokens per second of a random GPT-2 124M and SmolLM2-135M, or of ``setup.model``.

    Against ``generate`` and the memory's bandwidth, and of several samples together against one after the other. In
    pairs, on the same weights. On a CPU on one thread each, whose processor time is compared too: it does not depend on
    what else the machine does.
    """
    for name in (setup.model,) if setup.model else setups.SHAPES:
        yield from _decode(setup, name)


def _decode(setup: Setup, model: str) -> Iterator[Row]:
    placement = setups.place(setup)
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(setup, model, Path(scratch), placement.dtype)
        ours = finish(find.load(folder, device=setup.device))
        dtype = next(ours.network.parameters()).dtype
        on_cpu = ours.device.type == "cpu"
        theirs = by_transformers(folder, dtype, ours.device)
    limit, times = bandwidth(ours.device) / ours.bytes, setup.of(1, PAIRS)
    name = f"{model} of {ours.parameters / 1e6:.0f} M parameters"
    prompt = _prompt(ours, min(setup.of(20, PROMPT), ours.context // 2))
    count = min(setup.of(8, 48 if on_cpu else 200), ours.context - len(prompt))
    _complete(ours, prompt, 8)
    rates: list[float] = []
    for how, given in (("eager", {}), ("with a static cache", {"cache_implementation": "static"})):
        compared = f"decoding {name} in {ours.precision}, ours and generate {how}"
        begun = time.perf_counter()
        try:
            _generate(theirs, prompt, count, **given)
        except Exception as error:  # of transformers or its compiler, whose fault is none of ours
            yield skipped(compared, f"generate raised {type(error).__name__}: {' '.join(str(error).split())[:150]}")
            continue
        warm = time.perf_counter() - begun
        pairs = [(_complete(ours, prompt, count), _generate(theirs, prompt, count, **given)) for _ in range(times)]
        rates = [one.rate for one, _ in pairs]
        yield measured(
            compared,
            **spread("times_as_fast", [one.rate / other.rate for one, other in pairs]),
            **_busy(ours, pairs),
            ours_tokens_per_s=statistics.median(rates),
            other_tokens_per_s=statistics.median(other.rate for _, other in pairs),
            ours_first_token_s=statistics.median(one.first for one, _ in pairs),
            other_first_token_s=statistics.median(other.first for _, other in pairs),
            same_tokens=sum(one.ids == other.ids for one, other in pairs),
            seconds_of_warm_up=warm,
        )
    compared = f"decoding {name} in {ours.precision}, {_how(ours)}"
    rate = statistics.median(rates or [_complete(ours, prompt, count).rate])
    MiB = ours.bytes / 2**20
    for what, each in (
        ("with 10 candidates a token", rate),
        ("without choosing tokens", _step_rate(ours, prompt, count)),
    ):
        yield measured(
            f"{compared}, {what}", tokens_per_s=each, ms_per_token=1e3 / each, share_of_bandwidth=each / limit, MiB=MiB
        )
    _samples(ours, prompt, 2, ROWS)
    batches = [(_samples(ours, prompt, count, ROWS), _samples(ours, prompt, count, 1)) for _ in range(min(times, 3))]
    yield measured(
        f"{compared}, {ROWS} samples together and one after the other",
        **spread("times_as_fast", [one.rate / other.rate for one, other in batches]),
        **_busy(ours, batches),
        together_tokens_per_s=statistics.median(one.rate for one, _ in batches),
        alone_tokens_per_s=statistics.median(other.rate for _, other in batches),
        same_tokens=f"{sum(a == b for a, b in zip(*(one.ids for one in batches[0]), strict=True))} of {ROWS * count}",
    )


def _how(ours: Any) -> str:
    """Whether a loaded model decodes by a captured graph; without one it goes on, slower."""
    return "eager" if getattr(getattr(ours, "_step", None), "_graph", None) is None else "captured"


def model_folder(setup: Setup, model: str, scratch: Path, dtype: Any) -> str:
    """A folder or name that both sides load the model from."""
    if model in setups.SHAPES:
        setups.model_folder(scratch, dtype, model, **(SMALL[model] if setup.quick else {}))
        return str(scratch)
    if model == "smollm2":
        return str(finish(find.load_smollm2(None)))
    path = Path(model).expanduser()
    if (path / "config.json").is_file() or ("/" in model and not path.exists()) or model == "gpt2":
        return model
    write_export(load(model), scratch, force=True)
    return str(scratch)


def _prompt(lm: LanguageModel, length: int) -> list[int]:
    """The first tokens of the bundled verse, those that the model has."""
    text = resources.files("data").joinpath("bundled", "dantesque.txt").read_text("utf-8")
    return [token for token in lm.tokenizer.encode(text[: 8 * length]).ids if 0 <= token < lm.vocabulary][:length]


@dataclass(frozen=True)
class Timed:
    """One completion, timed."""

    ids: list[int]
    first: float
    """seconds to the first token"""
    rate: float
    """tokens per second after it"""
    busy: float
    """seconds of this thread's processor time for each of them"""


def _busy(lm: LanguageModel, pairs: Sequence[tuple[Timed, Timed]]) -> dict[str, float]:
    """Figures of the processor time of a token in pairs, where it is the processor that computes."""
    if lm.device.type != "cpu":
        return {}
    return {
        **spread("times_as_little_processor_time", [other.busy / one.busy for one, other in pairs]),
        "ours_processor_ms": 1e3 * statistics.median(one.busy for one, _ in pairs),
        "other_processor_ms": 1e3 * statistics.median(other.busy for _, other in pairs),
    }


def _complete(lm: LanguageModel, prompt: list[int], count: int, seed: int | None = None) -> Timed:
    """A completion by the whole task as a pane drives it, with candidates, texts and events; greedy without a seed."""
    lm.forget()
    sampling = Sampling(greedy=seed is None, max_new_tokens=count, seed=seed or 0)
    ids, begun = [], 0.0
    for event in generate(lm, GenerateSpec(ids=tuple(prompt), sampling=sampling), Control()):
        if isinstance(event, Token):
            begun = begun or time.thread_time()
            ids.append(event.id)
    busy = time.thread_time() - begun
    assert isinstance(event, Completed)
    return Timed(ids, event.first_token_seconds, event.tokens_per_second, busy / max(1, len(ids) - 1))


def _samples(lm: LanguageModel, prompt: list[int], count: int, at_once: int, top_k: int = 50) -> Timed:
    """``ROWS`` samples of ``count`` tokens, so many ``at_once``; the prompt is fed once.

    Their ids, one sample after the other, and tokens of all per second.
    """
    lm.forget()
    specs = [
        GenerateSpec("", tuple(prompt), Sampling(max_new_tokens=count, seed=row, top_k=top_k), stream=row)
        for row in range(ROWS)
    ]
    ids: list[list[int]] = [[] for _ in specs]
    begun, busy, first = time.perf_counter(), time.thread_time(), 0.0
    for start in range(0, ROWS, at_once):
        for event in generate_together(lm, specs[start : start + at_once], Control()):
            if isinstance(event, Token):
                first = first or time.perf_counter()
                ids[event.stream].append(event.id)
    every = [token for row in ids for token in row]
    busy = (time.thread_time() - busy) / len(every)
    return Timed(every, first - begun, len(every) / (time.perf_counter() - begun), busy)


def _step_rate(lm: LanguageModel, prompt: list[int], count: int) -> float:
    """Decoding steps per second, each fed the same token of the device, so that none is waited for."""
    lm.forget()
    lm.feed(prompt)
    token = torch.tensor(prompt[-1:], device=lm.device)

    def steps() -> None:
        for _ in range(count):
            lm.feed(prompt[-1:], there=token)

    return count / seconds_of(lm.device, steps)


def by_transformers(folder: str, dtype: Any, device: Any) -> Any:
    """The model of a folder or of the Hub's cache as ``AutoModelForCausalLM`` loads it, for evaluation."""
    from transformers import AutoModelForCausalLM

    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return found.eval().to(device)


def _generate(theirs: Any, prompt: list[int], count: int, **given: Any) -> Timed:
    """The same by ``generate``, on a CPU on one thread; timed by a streamer."""
    from transformers.generation.streamers import BaseStreamer

    times: list[float] = []
    busy: list[float] = []

    class Clock(BaseStreamer):
        def put(self, value: Any) -> None:
            times.append(time.perf_counter())
            busy.append(time.thread_time())

        def end(self) -> None:
            pass

    ids = torch.tensor([prompt], device=theirs.device)
    given |= {"do_sample": False, "max_new_tokens": count, "pad_token_id": 0, "streamer": Clock()}
    begun = time.perf_counter()
    with torch.inference_mode(), threads(1):
        out = theirs.generate(ids, attention_mask=torch.ones_like(ids), **given)
    seconds, tokens = times[-1] - times[1], len(times) - 2  # the first call brings the prompt
    rate = tokens / seconds if seconds else 0.0
    return Timed(out[0, len(prompt) :].tolist(), times[1] - begun, rate, (busy[-1] - busy[1]) / max(1, tokens))


def _agreeing(compared: str, wanted: list[int], found: list[int]) -> Row:
    """Tokens that must be the same, place by place."""
    same, total = sum(a == b for a, b in zip(wanted, found, strict=False)), max(len(wanted), len(found))
    reason = f"{total - same} of {total} tokens differ"
    return judged(compared, same == total > 0, "all equal", reason, equal_tokens=f"{same} of {total}")
