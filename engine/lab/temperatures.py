"""The prompt of exercise 2.2 completed greedily and at rising temperatures, by several seeds."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, TypeVar

from engine import hub
from engine.lab.results import Rung, Temperatures
from engine.lm import find, smollm2
from engine.lm.sampling import Sampling
from engine.lm.sweep import PROMPT, Comparison, Setting, compare, ladder
from engine.runs.events import Compared, Event, Notice, Progress, Token
from engine.runs.messages import Control, Stopped

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

T = TypeVar("T")
VERSE = "Nel mezzo del cammin di nostra vita"
"""the first line of Dante's Inferno, for a model of characters that has not all of ``PROMPT``"""
FIGURES = ("repetition", "logprob", "distinct")
"""of a rung, by seed"""


def measure(model: str, control: Control, *, seeds: int, length: int) -> Generator[Event, None, Temperatures]:
    """Complete the prompt with at most ``length`` tokens: once greedily, at each temperature by ``seeds`` seeds.

    All are computed together, and those of one seed draw common random numbers (:func:`engine.lm.sweep.ladder`).
    ``model`` is a name for :func:`engine.lm.find.load`, but ``auto`` is GPT-2 from the Hugging Face cache, else
    SmolLM2, downloaded where it can be, else the bundled Dante GPT. Yields ``Token`` and ``Compared`` of each
    completion. Raises :class:`engine.runs.messages.Stopped`, :class:`engine.lm.find.NoModel`,
    :class:`engine.runs.spec.BadSpec`, and :class:`engine.machine.MemoryRanOut` where a completion failed.
    """
    from engine.machine import MemoryRanOut

    try:
        lm = yield from (_auto(control) if model == find.AUTO else find.load(model, control))
    except find.LoadingStopped as error:
        raise Stopped from error
    prompt = PROMPT
    if lm.tokenizer.kind == "characters" and (unknown := lm.tokenizer.encode(PROMPT).unknown):
        prompt, missing = VERSE, PROMPT[min(unknown)]
        text = f"{missing!r} of the prompt {PROMPT!r} is not in the vocabulary of {lm.name}: {VERSE!r} is used instead"
        yield Notice(text, "info", "prompt")
    greedy, *rungs = ladder(prompt, Sampling(max_new_tokens=length)).settings
    drawn = [
        Setting(rung.name, replace(rung.sampling, seed=Sampling.seed + number))
        for number in range(seeds)
        for rung in rungs
    ]
    completions = compare(lm, Comparison(prompt, (greedy, *drawn)), control)
    results = yield from _counted(completions, f"completing by {lm.name}", (len(drawn) + 1) * length)
    if any(result.reason == "stop" for result in results):
        raise Stopped
    if len(results) <= len(drawn) or any(result.reason == "failed" for result in results):
        raise MemoryRanOut(f"not all of {len(drawn) + 1} completions by {lm.name} could be computed")
    return from_sweep(lm.name, lm.source, prompt, results)


def from_sweep(model: str, source: str, prompt: str, results: Sequence[Compared]) -> Temperatures:
    """What a ladder of temperatures gave; results that were stopped, or cut or penalised by a setting, do not count.

    A figure that a completion is too short for is NaN.
    """
    rungs: dict[float, list[Compared]] = {}
    for one in results:
        if one.reason in ("stop", "failed") or one.repetition_penalty != 1:
            continue
        if one.greedy or (one.top_k, one.top_p, one.min_p) == (0, 1, 0):
            rungs.setdefault(0.0 if one.greedy else one.temperature, []).append(one)
    return Temperatures(
        model,
        source,
        prompt,
        max((one.max_new_tokens for of in rungs.values() for one in of), default=0),
        tuple(_rung(temperature, rungs[temperature]) for temperature in sorted(rungs)),
    )


def merge(stored: Temperatures | None, new: Temperatures) -> Temperatures:
    """Both together, ``new`` where both have a seed. Of another model, prompt or length the one with more completions.

    Where they have equally many, ``new``.
    """
    if stored is None:
        return new
    if _what(stored) != _what(new):
        return max(new, stored, key=lambda one: sum(len(rung.seeds) for rung in one.rungs))
    old, added = ({rung.temperature: rung for rung in one.rungs} for one in (stored, new))
    both = {at: _joined(old[at], added[at]) for at in old.keys() & added.keys()}
    every = old | added | both
    return replace(new, rungs=tuple(every[at] for at in sorted(every)))


def curves(temperatures: Temperatures) -> Mapping[str, list[tuple[float, float, float, float]]]:
    """Each of ``FIGURES``: temperature, mean over seeds, and low and high end of its 95% interval (Student's t).

    One completion alone, as the greedy one, has no interval but its own figure. Shares end at 0 and 1.
    """
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for name in FIGURES:
        limits = (-math.inf, 0.0) if name == "logprob" else (0.0, 1.0)
        found[name] = []
        for rung in temperatures.rungs:
            if values := [value for value in getattr(rung, name) if not math.isnan(value)]:
                mean, half = _interval(values)
                low, high = max(mean - half, limits[0]), min(mean + half, limits[1])
                found[name].append((rung.temperature, mean, low, high))
    return found


def _counted(completions: Generator[Event, None, T], what: str, total: int) -> Generator[Event, None, T]:
    """The events of ``completions``, with progress at each fiftieth of ``total`` tokens; what they return."""
    done = 0
    while True:
        try:
            event = next(completions)
        except StopIteration as end:
            returned: T = end.value
            return returned
        yield event
        done += isinstance(event, Token)
        if isinstance(event, Token) and done % max(1, total // 50) == 0:
            yield Progress(what, done, total)


def _auto(control: Control) -> Generator[Event, None, LanguageModel]:
    """The first model that can be had, larger ones first."""
    names = ["gpt2", smollm2.NAME] if find.gpt2_cached() else [smollm2.NAME]
    if names[0] == smollm2.NAME and not smollm2.at_hand() and not hub.holds(smollm2.REPOSITORY):
        yield Notice(f"gpt2 is not in the Hugging Face cache: downloading {smollm2.ABOUT}, once", "info", "model")
    for name in names:
        try:
            return (yield from find.load(name, control))
        except find.LoadingStopped:
            raise
        except find.NoModel as error:
            yield Notice(str(error), "warning", "no_model")
    return (yield from find.load("bundled", control))


def _rung(temperature: float, results: Sequence[Compared]) -> Rung:
    def figure(value: float | None) -> float:
        return math.nan if value is None else value

    results = sorted({one.seed: one for one in results}.values(), key=lambda one: one.seed)
    return Rung(
        name=f"temperature {temperature:g}" if temperature else "greedy",
        temperature=temperature,
        seeds=tuple(one.seed for one in results),
        texts=tuple(one.text for one in results),
        repetition=tuple(one.repetition_rate for one in results),
        logprob=tuple(figure(one.mean_logprob) for one in results),
        distinct=tuple(figure(one.distinct_2) for one in results),
    )


def _joined(old: Rung, new: Rung) -> Rung:
    """Both rungs of one temperature; greedy decoding draws nothing, so it has one text whatever its seed."""
    if not new.temperature:
        return new
    added = [place for place, seed in enumerate(old.seeds) if seed not in new.seeds]
    seeds = [*(old.seeds[place] for place in added), *new.seeds]
    order = sorted(range(len(seeds)), key=seeds.__getitem__)

    def both(name: str) -> Any:
        values = [*(getattr(old, name)[place] for place in added), *getattr(new, name)]
        return tuple(values[place] for place in order)

    return replace(new, **{name: both(name) for name in ("seeds", "texts", *FIGURES)})


def _what(one: Temperatures) -> tuple[str, str, str, int]:
    return one.model, one.source, one.prompt, one.tokens


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean of ``values``, and half of the width of its interval."""
    from engine.comparison.statistics import CONFIDENCE
    from engine.imports import import_beside_torch

    mean = fmean(values)
    if len(values) == 1:
        return mean, 0.0
    quantile = import_beside_torch("scipy.stats").t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return mean, float(quantile) * stdev(values) / math.sqrt(len(values))
