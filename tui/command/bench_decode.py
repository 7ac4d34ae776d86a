"""Decoding against ``model.generate`` on the same weights, in pairs, and against what the memory bus allows."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.command.bench_figures import spread
from tui.command.narrate import Narrator

if TYPE_CHECKING:
    from torch import Tensor

    from engine.lm.model import LanguageModel

PAIRS = 5
PROMPT, NEW = 100, 48  # tokens
READ = 1 << 29  # bytes read at a time to measure the memory bus


@dataclass(frozen=True)
class Taken:
    """One completion, timed."""

    ids: list[int]
    first: float
    """seconds to the first token"""
    rate: float
    """tokens per second after it"""


def decode(model: str, note: Callable[[str], None], pairs: int = PAIRS) -> dict[str, Any]:
    """Tokens per second and time to the first token, ours and ``generate``'s, pair by pair in one process.

    Without a ``model``: GPT-2's 124M shape with random weights. Ours is the whole task as a pane drives it: greedy,
    with ten candidates a token, its text and its events. ``generate`` is greedy too, with its defaults; on a CPU it
    gets one thread or all, whichever was faster at first. Int8 weights are measured beside, where there are any.
    """
    from engine.lm import find as models
    from engine.lm.int8 import fixed_text
    from engine.runs.messages import finish

    tell = Narrator(as_json=False).tell
    with tempfile.TemporaryDirectory(prefix="llmlab-decode-") as scratch:
        folder = _folder(model, Path(scratch))
        ours = finish(models.load(folder), tell)
        theirs = _transformers(folder, ours)
        rounded = finish(models.load(folder, int8=True), tell) if ours.device.type == "cpu" else ours
    note(f"{model or 'GPT-2 124M, random weights'}: {ours.parameters:,} parameters, {ours.precision}, {ours.device}")
    prompt = fixed_text(ours.tokenizer, min(PROMPT, ours.context // 2), ours.vocabulary)
    new = min(NEW, ours.context - len(prompt))
    count = _threads(theirs, prompt)
    _complete(ours, prompt, 2)
    runs: list[tuple[Taken, Taken, Taken]] = []
    limits: list[float] = []
    for pair in range(pairs):
        limits.append(_bandwidth(ours))
        if pair % 2:
            one, other = _complete(ours, prompt, new), _generate(theirs, prompt, new, count)
        else:
            other, one = _generate(theirs, prompt, new, count), _complete(ours, prompt, new)
        runs.append((one, other, _complete(rounded, prompt, new)))
        note(
            f"pair {pair + 1}: generate {other.rate:.2f}, ours {one.rate:.2f} tokens/s, ratio "
            f"{one.rate / other.rate:.3f}; {rounded.precision} {runs[-1][2].rate:.2f}"
        )
    return {
        "model": model or "random GPT-2 124M",
        "device": str(ours.device),
        "weights_mib": round(ours.bytes / 2**20, 1),
        "generate_tokens_per_s_median": round(statistics.median(other.rate for _, other, _ in runs), 2),
        "ours_tokens_per_s_median": round(statistics.median(one.rate for one, _, _ in runs), 2),
        **spread("ratio", [one.rate / other.rate for one, other, _ in runs]),
        "memory_gb_per_s_median": round(statistics.median(limits) / 1e9, 1),
        "share_of_memory_limit_median": round(
            statistics.median(ours.bytes * one.rate / limit for (one, _, _), limit in zip(runs, limits, strict=True)), 3
        ),
        "rounded": rounded.precision,
        "rounded_over_ours_median": round(statistics.median(third.rate / one.rate for one, _, third in runs), 3),
        "prompt_tokens": len(prompt),
        "first_token_s_generate": round(statistics.median(other.first for _, other, _ in runs), 3),
        "first_token_s_ours": round(statistics.median(one.first for one, _, _ in runs), 3),
        "same_tokens": all(one.ids == other.ids for one, other, _ in runs),
        "generate_threads": count,
        "pairs": pairs,
    }


def _folder(model: str, scratch: Path) -> str:
    """A folder or name that both sides load the model from."""
    if model in ("openai-community/gpt2", "gpt2"):
        return "openai-community/gpt2"
    if model:
        if (Path(os.path.expanduser(model)) / "config.json").is_file() or ("/" in model and not Path(model).exists()):
            return model
        from engine.gpt.trained import load, write_export

        write_export(load(model), scratch)
        return str(scratch)
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from engine.tokenization import find as tokenizers
    from engine.tokenization.encoding import BackedTokenizer

    torch.manual_seed(1)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(scratch)
    spelled = tokenizers.load("gpt2")
    assert isinstance(spelled, BackedTokenizer)
    spelled.backend.save(str(scratch / "tokenizer.json"))
    return str(scratch)


def _transformers(folder: str, ours: LanguageModel) -> Any:
    from transformers import AutoModelForCausalLM

    dtype = next(ours.network.parameters()).dtype
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
    return found.eval().to(ours.device)


def _complete(ours: LanguageModel, prompt: list[int], new: int) -> Taken:
    from engine.lm.generate import generate
    from engine.lm.sampling import GenerateSpec, Sampling
    from engine.runs.events import Completed, Token
    from engine.runs.messages import Control

    ours.forget()
    spec = GenerateSpec(ids=tuple(prompt), sampling=Sampling(greedy=True, max_new_tokens=new))
    events = list(generate(ours, spec, Control()))
    end = events[-1]
    assert isinstance(end, Completed)
    ids = [event.id for event in events if isinstance(event, Token)]
    return Taken(ids, end.first_token_seconds, end.tokens_per_second)


def _threads(theirs: Any, prompt: list[int]) -> int:
    """One thread or all: with which ``generate`` is faster just now."""
    from engine.machine import physical_cores

    if theirs.device.type != "cpu":
        return 1
    _generate(theirs, prompt, 2, 1)
    return max({1, physical_cores()}, key=lambda count: _generate(theirs, prompt, 12, count).rate)


def _generate(theirs: Any, prompt: list[int], new: int, count: int) -> Taken:
    """``generate`` on ``count`` threads, timed by a streamer that only notes the time."""
    import torch
    from transformers.generation.streamers import BaseStreamer

    from engine.device import threads

    times: list[float] = []

    class Clock(BaseStreamer):
        def put(self, value: Tensor) -> None:
            times.append(time.perf_counter())

        def end(self) -> None:
            pass

    ids = torch.tensor([prompt], device=theirs.device)
    begun = time.perf_counter()
    with torch.inference_mode(), threads(count):
        out = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=new,
            pad_token_id=0,
            streamer=Clock(),
        )
    decoding = times[-1] - times[1]  # the first call brings the prompt
    rate = (len(times) - 2) / decoding if decoding else 0.0
    return Taken(out[0, len(prompt) :].tolist(), times[1] - begun, rate)


def _bandwidth(ours: LanguageModel) -> float:
    """Bytes per second of a large read where the model computes, the best of several and of one or all threads."""
    import torch

    from engine.device import synchronise, threads
    from engine.machine import physical_cores

    block = torch.ones(READ // 4, device=ours.device)
    best = 0.0
    for count in {1, physical_cores()}:
        with threads(count):
            for _ in range(4):
                synchronise(ours.device)
                begun = time.perf_counter()
                block.sum()
                synchronise(ours.device)
                best = max(best, READ / (time.perf_counter() - begun))
    return best
