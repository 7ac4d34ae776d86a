"""One prompt under several settings, with figures that compare what came out.

repetition rate
    The share of a completion's tokens that lie in a repeated run of four: four tokens in a row, at any place, that
    stood in the same order at an earlier place of the completion. The prompt does not count.
distinct-2
    Different pairs of neighbouring tokens over all pairs of neighbouring tokens (Li et al. 2016).
mean log-probability
    Of the tokens under the model itself, before any setting, in nats a token.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Compared, Completed, Event, Token
from engine.runs.messages import Control
from engine.runs.spec import BadSpec, Problem

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

PROMPT = "Who knows if God exists, but for sure I"
TEMPERATURES = (0.3, 0.7, 1.0, 1.3, 2.0)
RUN = 4  # tokens in a row that count as a repetition
SETTINGS = tuple(entry.name for entry in fields(Sampling))


@dataclass(frozen=True)
class Setting:
    """One of the settings to compare, and what to call it."""

    name: str
    sampling: Sampling


@dataclass(frozen=True)
class Comparison:
    """What to run: a prompt and the settings to complete it under."""

    prompt: str
    settings: tuple[Setting, ...]
    ids: tuple[int, ...] | None = None
    """token ids in place of ``prompt``, as in :class:`engine.lm.sampling.GenerateSpec`"""

    def check(self) -> None:
        """Raise :class:`engine.runs.spec.BadSpec` with everything that is wrong."""
        problems = [
            Problem(f"{setting.name}: {problem.field}", problem.message)
            for setting in self.settings
            for problem in setting.sampling.validate()
        ]
        if not self.settings:
            problems.append(Problem("settings", "there are none to compare"))
        if problems:
            raise BadSpec(problems)


def ladder(prompt: str, base: Sampling) -> Comparison:
    """Greedy, then rising temperatures on common random numbers; length and seed are those of ``base``.

    Nothing is cut and nothing penalised, so that temperature shows what it does.
    """
    plain = replace(base, greedy=False, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0)
    rungs = [Setting(f"temperature {value:g}", replace(plain, temperature=value)) for value in TEMPERATURES]
    return Comparison(prompt, (Setting("greedy", replace(plain, greedy=True)), *rungs))


def ab(prompt: str, a: Sampling, b: Sampling) -> Comparison:
    """Two settings on common random numbers: ``b`` is drawn with the seed of ``a``. Their names say how they differ."""
    b = replace(b, seed=a.seed)
    differ = [name for name in SETTINGS if getattr(a, name) != getattr(b, name)]
    told = [", ".join(_told(name, getattr(one, name)) for name in differ) for one in (a, b)]
    return Comparison(prompt, (Setting(f"A  {told[0]}".rstrip(), a), Setting(f"B  {told[1]}".rstrip(), b)))


def _told(name: str, value: float) -> str:
    """A setting in words: ``top-k 50``."""
    return f"{name.replace('_', '-')} {('no', 'yes')[value] if isinstance(value, bool) else f'{value:g}'}"


def samples(prompt: str, sampling: Sampling, count: int) -> Comparison:
    """``count`` draws under one setting, with seeds from the setting's own upwards."""
    seeds = range(sampling.seed, sampling.seed + count)
    return Comparison(prompt, tuple(Setting(f"seed {seed}", replace(sampling, seed=seed)) for seed in seeds))


def compare(
    lm: LanguageModel, comparison: Comparison, control: Control, *, candidates: int = 0
) -> Generator[Event, None, list[Compared]]:
    """Run every setting, all together: ``Token`` events, which carry its number as ``stream``, then ``Compared``.

    A ``Stop`` ends all that are under way, which are still compared; changes of the sampling are not taken, since a
    comparison is of what was asked for. Returns what ``Compared`` said of each, in the order of the settings. Raises
    :class:`engine.runs.spec.BadSpec` before anything is computed.
    """
    from engine.lm.generate import generate_together  # it loads torch

    comparison.check()
    specs = [
        GenerateSpec(comparison.prompt, comparison.ids, setting.sampling, candidates, stream=stream)
        for stream, setting in enumerate(comparison.settings)
    ]
    tokens: list[list[Token]] = [[] for _ in specs]
    results: list[Compared] = []
    for event in generate_together(lm, specs, control):
        if isinstance(event, Completed):
            results.append(_compared(comparison.settings[event.stream], event, tokens[event.stream]))
            yield results[-1]
            continue
        if isinstance(event, Token):
            tokens[event.stream].append(event)
        yield event
    return sorted(results, key=lambda result: result.stream)


def repetition_rate(ids: Sequence[int]) -> float:
    """Share of tokens inside a run of ``RUN`` that began at an earlier place too; 0 when there are too few."""
    met: set[tuple[int, ...]] = set()
    repeated: set[int] = set()
    for start in range(len(ids) - RUN + 1):
        run = tuple(ids[start : start + RUN])
        if run in met:
            repeated.update(range(start, start + RUN))
        met.add(run)
    return len(repeated) / len(ids) if ids else 0.0


def distinct_2(ids: Sequence[int]) -> float | None:
    """Different pairs of neighbours over all of them; None for fewer than two tokens."""
    pairs = list(itertools.pairwise(ids))
    return len(set(pairs)) / len(pairs) if pairs else None


def mean_logprob(tokens: Sequence[Token]) -> float | None:
    """Mean log-probability of tokens under the model itself, in nats; None without tokens."""
    found = [token.logprob for token in tokens if token.logprob is not None]
    return sum(found) / len(found) if found else None


def _compared(setting: Setting, end: Completed, tokens: list[Token]) -> Compared:
    ids = [token.id for token in tokens]
    return Compared(
        stream=end.stream,
        name=setting.name,
        **{name: getattr(setting.sampling, name) for name in SETTINGS},
        text=end.text,
        reason=end.reason,
        tokens=end.tokens,
        repetition_rate=repetition_rate(ids),
        distinct_2=distinct_2(ids),
        mean_logprob=mean_logprob(tokens),
        tokens_per_second=end.tokens_per_second,
    )
