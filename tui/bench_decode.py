"""Decoding against ``model.generate`` on the same weights, in pairs, and against what the memory bus allows."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tui.narrate import Narrator

if TYPE_CHECKING:
    from torch import Tensor

    from engine.causal import LanguageModel
    from engine.events import Completed, Event

PAIRS = 5
PROMPT, NEW = 100, 48  # tokens
READ = 1 << 29  # bytes read at a time to measure the memory bus

_Result = TypeVar("_Result")


def decode(model: str, pairs: int = PAIRS) -> dict[str, Any]:
    """Tokens per second and time to the first token, ours and ``generate``'s, pair by pair in one process.

    Without a ``model``: GPT-2's 124M shape with random weights. Ours is the whole task as a pane drives it: greedy,
    with ten candidates a token, its text and its events. ``generate`` is greedy too, with its defaults; on a CPU the
    faster of one thread and all counts, since on a busy machine one is.
    """
    from engine import lm as models

    with tempfile.TemporaryDirectory(prefix="llmlab-decode-") as scratch:
        folder = _folder(model, Path(scratch))
        ours = _drive(models.load(folder))
        theirs = _transformers(folder, ours)
        prompt = _prompt(ours)
        new = min(NEW, ours.context - len(prompt))
        _note(
            f"{model or 'GPT-2 124M, random weights'}: {ours.parameters:,} parameters, {ours.precision}, {ours.device}"
        )
        _complete(ours, prompt, 2)
        _generate(theirs, prompt, 2)
        rates, limits, firsts = ([], []), [], ([], [])  # type: ignore[var-annotated]
        same = True
        for pair in range(pairs):
            limits.append(_bandwidth(ours))
            turns = (0, 1) if pair % 2 else (1, 0)
            taken: list[list[int]] = [[], []]
            for turn in turns:
                ids, first, rate = (_complete if turn == 0 else _generate)((ours, theirs)[turn], prompt, new)
                taken[turn] = ids
                firsts[turn].append(first)
                rates[turn].append(rate)
            same = same and taken[0] == taken[1]
            _note(
                f"pair {pair + 1}: generate {rates[1][-1]:.2f}, ours {rates[0][-1]:.2f} tokens/s, "
                f"ratio {rates[0][-1] / rates[1][-1]:.3f}"
            )
    ratios = [a / b for a, b in zip(*rates, strict=True)]
    shares = [ours.bytes * rate / limit for rate, limit in zip(rates[0], limits, strict=True)]
    return {
        "model": model or "random GPT-2 124M",
        "device": str(ours.device),
        "weights_mib": round(ours.bytes / 2**20, 1),
        "generate_tokens_per_s_median": round(statistics.median(rates[1]), 2),
        "ours_tokens_per_s_median": round(statistics.median(rates[0]), 2),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "memory_gb_per_s_median": round(statistics.median(limits) / 1e9, 1),
        "share_of_memory_limit_median": round(statistics.median(shares), 3),
        "prompt_tokens": len(prompt),
        "first_token_s_generate": round(statistics.median(firsts[1]), 3),
        "first_token_s_ours": round(statistics.median(firsts[0]), 3),
        "same_tokens": same,
        "pairs": pairs,
    }


def _folder(model: str, scratch: Path) -> str:
    """A folder or name that both sides load the model from."""
    if model in ("openai-community/gpt2", "gpt2"):
        return "openai-community/gpt2"
    if model:
        if (Path(model).expanduser() / "config.json").is_file() or ("/" in model and not Path(model).exists()):
            return model
        from engine.load import load, write_export

        write_export(load(model), scratch)
        return str(scratch)
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    from engine import tokenizer
    from engine.encoding import BackedTokenizer

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(1)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(scratch)
    spelled = tokenizer.load("gpt2")
    assert isinstance(spelled, BackedTokenizer)
    spelled.backend.save(str(scratch / "tokenizer.json"))
    return str(scratch)


def _transformers(folder: str, ours: LanguageModel) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    dtype = next(ours.network.parameters()).dtype
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
    return found.eval().to(ours.device)


def _prompt(ours: LanguageModel) -> list[int]:
    """The first tokens of the bundled verse."""
    from importlib import resources

    text = resources.files("data").joinpath("bundled", "dantesque.txt").read_text("utf-8")
    known = [token for token in ours.tokenizer.encode(text[:4000]).ids if 0 <= token < ours.vocabulary]
    return known[: min(PROMPT, ours.context // 2)]


def _complete(ours: LanguageModel, prompt: list[int], new: int) -> tuple[list[int], float, float]:
    """Ids, seconds to the first token, tokens per second after it."""
    from engine.control import Control
    from engine.events import Completed, Token
    from engine.generate import generate
    from engine.sampling import GenerateSpec, Sampling

    ours.forget()
    spec = GenerateSpec(ids=tuple(prompt), sampling=Sampling(greedy=True, max_new_tokens=new))
    events = list(generate(ours, spec, Control()))
    end: Event | Completed = events[-1]
    assert isinstance(end, Completed)
    return [e.id for e in events if isinstance(e, Token)], end.first_token_seconds, end.tokens_per_second


def _generate(theirs: Any, prompt: list[int], new: int, count: int | None = None) -> tuple[list[int], float, float]:
    """The same of ``generate``, timed by a streamer that only notes the time."""
    import torch
    from transformers.generation.streamers import BaseStreamer

    times: list[float] = []

    class Clock(BaseStreamer):
        def put(self, value: Tensor) -> None:
            times.append(time.perf_counter())

        def end(self) -> None:
            pass

    if theirs.device.type == "cpu" and count is None:
        from engine.causal import threads
        from engine.machine import physical_cores

        every = []
        for number in {1, physical_cores()}:
            with threads(number):
                every.append(_generate(theirs, prompt, new, number))
        return max(every, key=lambda taken: taken[2])
    ids = torch.tensor([prompt], device=theirs.device)
    begun = time.perf_counter()
    with torch.inference_mode():
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
    return out[0, len(prompt) :].tolist(), times[1] - begun, rate


def _bandwidth(ours: LanguageModel) -> float:
    """Bytes per second of a large read where the model computes, the best of several and of one or all threads."""
    import torch

    from engine.causal import threads
    from engine.device import synchronise
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


def _drive(loading: Generator[Event, None, _Result]) -> _Result:
    narrator = Narrator(as_json=False)
    while True:
        try:
            narrator.tell(next(loading))
        except StopIteration as end:
            result: _Result = end.value
            return result


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
