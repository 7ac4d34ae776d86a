"""The settings' cuts are those of ``transformers``, and the draw follows what they leave."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.lm import processors
from engine.lm.sampling import Sampling

transformers = pytest.importorskip("transformers")

SETTINGS: list[dict[str, Any]] = [
    {},
    {"top_k": 0},
    {"top_k": 1},
    {"top_k": 7},
    {"temperature": 0.3, "top_k": 0},
    {"temperature": 2.5, "top_k": 0},
    {"top_k": 0, "top_p": 0.9},
    {"top_k": 0, "top_p": 0.001},
    {"top_k": 0, "min_p": 0.05},
    {"top_k": 0, "min_p": 1.0},
    {"top_k": 0, "repetition_penalty": 1.4},
    {"top_k": 0, "repetition_penalty": 0.7},
    {"top_k": 40, "top_p": 0.8, "min_p": 0.02, "temperature": 1.5, "repetition_penalty": 1.2},
    {"top_k": 0, "top_p": 0.95, "min_p": 0.01, "temperature": 0.8},
    {"top_k": 10_000_000},
]


def theirs(logits: Tensor, sampling: Sampling, seen: Tensor) -> Tensor:
    """Scores after the processors and warpers that ``generate`` would make, -inf where cut."""
    from transformers.generation import logits_process as process

    steps: list[Any] = []
    if sampling.repetition_penalty != 1:
        steps.append(process.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    steps.append(process.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(process.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(process.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(process.MinPLogitsWarper(sampling.min_p))
    scores = logits[None].clone()
    for step in steps:
        scores = step(seen[None], scores)
    return scores[0]


def ours(logits: Tensor, sampling: Sampling, seen: Tensor, u: float = 0.5) -> tuple[set[int], dict[int, float]]:
    """The ids left, and log-probabilities of those that the ranking holds."""
    kept = processors.warp(logits, sampling, seen, u)
    left = int(kept.min_p)
    ranking = kept.ids.tolist()
    logprobs = (kept.values - kept.normaliser).tolist()
    if kept.complete:
        ranking, logprobs = ranking[:left], logprobs[:left]
        assert len(ranking) == left
        return set(ranking), dict(zip(ranking, logprobs, strict=True))
    assert left == len(logits)
    return set(range(left)), dict(zip(ranking, logprobs, strict=True))


def check(logits: Tensor, sampling: Sampling, seen: Tensor, u: float = 0.5) -> None:
    wanted = theirs(logits, sampling, seen)
    left, logprobs = ours(logits, sampling, seen, u)
    stay = set(wanted.isfinite().nonzero()[:, 0].tolist())
    if sampling.top_p < 1 and len(logits.unique()) < len(logits):
        # Which of several equals stays is an accident of an unstable sort there: compare how many of each value do.
        scores = theirs(logits, dataclasses.replace(sampling, top_k=0, top_p=1.0, min_p=0.0), seen)
        assert sorted(scores[list(left)].tolist()) == sorted(scores[list(stay)].tolist())
        return
    assert left == stay
    expected = wanted.log_softmax(0)
    for token, found in logprobs.items():
        assert found == pytest.approx(float(expected[token]), abs=1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("size", [5, 300, 5000])
def test_each_cut_is_that_of_transformers(settings: dict[str, Any], size: int) -> None:
    torch.manual_seed(size)
    for spread in (0.5, 3.0, 12.0):
        logits = torch.randn(size) * spread
        seen = torch.randint(size, (20,))
        for u in (0.0, 0.4, 0.99999):
            check(logits, Sampling(**settings), seen, u)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("size", [12, 4000])
def test_each_cut_is_that_of_transformers_among_equals(settings: dict[str, Any], size: int) -> None:
    torch.manual_seed(1)
    seen = torch.tensor([0, 1, 1])
    check(torch.randint(-3, 4, (size,)).float(), Sampling(**settings), seen)
    check(torch.zeros(size), Sampling(**settings), seen)


def test_logits_of_minus_infinity_are_never_drawn() -> None:
    logits = torch.full((3000,), -math.inf)
    logits[[17, 2500]] = torch.tensor([0.0, 1.0])
    for settings in SETTINGS:
        for u in (0.0, 0.3, 1 - 2**-53):
            kept = processors.warp(logits, Sampling(**settings), torch.tensor([5]), u)
            assert int(kept.ids[processors.draw(kept, u)]) in (17, 2500)


@pytest.mark.parametrize("settings", [{"top_k": 0}, {"top_k": 20}, {"top_k": 0, "top_p": 0.9}, {"temperature": 3.0}])
def test_a_beginning_of_the_ranking_draws_what_the_whole_draws(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(4)
    logits, seen = torch.randn(20_000) * 2, torch.tensor([3])
    sampling = Sampling(**settings)
    numbers = [processors.number(1, index) for index in range(60)]
    short = [int((kept := processors.warp(logits, sampling, seen, u)).ids[processors.draw(kept, u)]) for u in numbers]
    monkeypatch.setattr(processors, "_beginning", lambda *_: None)
    whole = [int((kept := processors.warp(logits, sampling, seen, u)).ids[processors.draw(kept, u)]) for u in numbers]
    assert short == whole
    assert len(set(short)) > 5


@pytest.mark.parametrize("settings", [{"top_k": 0}, {"top_k": 3}, {"top_k": 0, "temperature": 2.0, "min_p": 0.1}])
def test_draws_follow_the_probabilities(settings: dict[str, Any]) -> None:
    logits, seen = torch.tensor([2.0, 1.0, 0.0, -1.0, 1.5, -30.0]), torch.tensor([0])
    sampling = Sampling(**settings)
    count = 6000
    drawn = torch.zeros(6)
    for index in range(count):
        u = processors.number(7, index)
        kept = processors.warp(logits, sampling, seen, u)
        drawn[kept.ids[processors.draw(kept, u)]] += 1
    wanted = theirs(logits, sampling, seen).softmax(0)
    assert ((drawn / count) - wanted).abs().max() < 4 * 0.5 / count**0.5  # four standard errors
    assert drawn[wanted == 0].sum() == 0


def test_numbers_are_uniform_and_depend_on_seed_and_place() -> None:
    numbers = torch.tensor([processors.number(5, index) for index in range(4000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    shares = torch.histc(numbers, 10, 0, 1) / 4000
    assert (shares - 0.1).abs().max() < 4 * (0.1 * 0.9 / 4000) ** 0.5
    assert (numbers[1:] * numbers[:-1]).mean() == pytest.approx(0.25, abs=0.02)  # neighbours know nothing of each other
    assert processors.number(5, 3) == processors.number(5, 3) != processors.number(6, 3)


def test_settings_under_one_seed_mostly_draw_alike() -> None:
    """Common random numbers: far more often the same token than two settings that draw by themselves."""
    torch.manual_seed(2)
    logits, seen = torch.randn(500) * 2, torch.tensor([0])
    warm, cool = Sampling(top_k=0, temperature=1.0), Sampling(top_k=0, temperature=0.9)

    def drawn(sampling: Sampling, seed: int, index: int) -> int:
        u = processors.number(seed, index)
        kept = processors.warp(logits, sampling, seen, u)
        return int(kept.ids[processors.draw(kept, u)])

    together = sum(drawn(warm, 1, index) == drawn(cool, 1, index) for index in range(400))
    apart = sum(drawn(warm, 1, index) == drawn(cool, 2, index) for index in range(400))
    assert together > 3 * apart


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_row_says_what_a_brute_force_count_says(settings: dict[str, Any]) -> None:
    torch.manual_seed(8)
    size, candidates, u = 400, 12, 0.37
    logits, seen = torch.randn(size) * 3, torch.randint(size, (9,))
    sampling = Sampling(**settings)
    chosen, row = processors.choose(logits, sampling, seen, u, candidates)
    place = processors.read(row.tolist(), greedy=False)
    assert place is not None
    own, final = logits.double().softmax(0), theirs(logits, sampling, seen).double().softmax(0)
    assert place.id == int(chosen)
    assert place.logprob == pytest.approx(math.log(own[place.id]), abs=1e-5)
    assert place.drawn_logprob == pytest.approx(math.log(final[place.id]), abs=1e-5)
    assert place.rank == sum(bool(p > own[place.id]) for p in own) + 1
    assert place.entropy == pytest.approx(-sum(float(p) * math.log(p) for p in own), abs=1e-4)
    assert place.kept == int((final > 0).sum())
    wanted = own.topk(candidates).indices.tolist()
    assert [option.id for option in place.candidates] == wanted + [place.id] * (place.id not in wanted)
    plain = Sampling(**{**settings, "top_k": 0, "top_p": 1.0, "min_p": 0.0})
    tempered = theirs(logits, plain, seen).double().softmax(0)
    for option in place.candidates:
        assert option.probability == pytest.approx(float(own[option.id]), abs=1e-6)
        assert option.tempered == pytest.approx(float(tempered[option.id]), abs=1e-6)
        assert option.final == pytest.approx(float(final[option.id]), abs=1e-6)
        assert bool(option.cut) == (float(final[option.id]) == 0)
        for name, off in (("min_p", 0.0), ("top_p", 1.0)):  # without the cut that took it, it would be there
            if option.cut == name:
                settings_without = {**settings, "min_p": 0.0, name: off}
                assert theirs(logits, Sampling(**settings_without), seen)[option.id].isfinite()


def test_greedy_takes_the_largest_after_the_penalty_only() -> None:
    logits, seen = torch.tensor([3.0, 2.9, -1.0]), torch.tensor([0])
    chosen, row = processors.choose(logits, Sampling(greedy=True, repetition_penalty=2.0, top_p=0.1), seen, 0.9, 3)
    place = processors.read(row.tolist(), greedy=True)
    assert place is not None
    assert (int(chosen), place.rank, place.kept) == (1, 2, 1)
    assert [(option.id, option.final, option.cut) for option in place.candidates] == [
        (0, 0.0, "greedy"),
        (1, 1.0, ""),
        (2, 0.0, "greedy"),
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_are_no_numbers_are_told(value: float, greedy: bool) -> None:
    logits = torch.zeros(3000)
    logits[5] = value
    _, row = processors.choose(logits, Sampling(greedy=greedy), torch.tensor([0]), 0.5, 5)
    assert processors.read(row.tolist(), greedy) is None
    assert processors.read_score(processors.score(logits[None], torch.tensor([1]), 5)[0].tolist()) is None
