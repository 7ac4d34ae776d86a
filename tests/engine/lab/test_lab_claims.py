"""Every claim of the lab: results that support it, that contradict it, that leave it open, and none at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from engine.comparison.statistics import PairedTest, wilson
from engine.lab import judging
from engine.lab.exercise import Claim
from engine.lab.exercises import LAB, STEPS
from engine.lab.results import (
    Comparison,
    Results,
    Rung,
    Temperatures,
    Tokenized,
    Tokens,
    Training,
    Verse,
    VerseFigures,
)
from engine.report.methods import Method

CLAIMS: dict[str, Claim] = {step.name: step.claim for one in LAB for step in one.steps if step.claim is not None}
EMOTIONS = ("anger", "fear", "joy", "love", "sadness", "surprise")
SPELLINGS = ("Hello World", "hello World", " hello World", "HelloWorld", "Hello World ")
NEWS = ("Business", "Sci/Tech", "Sports", "World")


def training(best: float, bigrams: float | None = 2.19, *, finished: bool = True) -> Results:
    return Results(
        Training("r", "dante", finished, 1000, 60.0, 10, best, 900, ((900, best),), 4.28, 3.0, bigrams, ()),
    )


def counted(**changes: Any) -> VerseFigures:
    made = VerseFigures("text", 1, 4000, 700, 0.5, wilson(350, 700), 20, "", 33.0, 2.0, 0.2, (0.1, 0.3), 60, 0.05)
    return replace(made, **changes)


def verse(*samples: tuple[int, int], **changes: Any) -> Results:
    """Samples as words and how many of them are known; ``changes`` are of the generated text."""
    found = [
        counted(
            step=step, words=words, known_words=right / words if words else None, known_interval=wilson(right, words)
        )
        for step, (words, right) in enumerate(samples)
    ]
    corpus = counted(longest_copy=25, rhymes=0.97)
    return Results(verse=Verse("r", corpus, tuple(found), counted(**changes), "text", 1, 0.8))


def tokens(**changes: Any) -> Results:
    """What GPT-2 gives for the examples; ``changes`` have other ids by the name of an example, and other fields."""
    ids = {
        "Hello World": (15496, 2159),
        "hello World": (31373, 2159),
        " hello World": (23748, 2159),
        "HelloWorld": (15496, 10603),
        "Hello World ": (15496, 2159, 220),
    }
    ids = {} if (other := changes.pop("examples", {})) is None else ids | other
    lengths: Mapping[int, int] = changes.pop("lengths", {20: 5, 40: 9, 80: 20, 160: 44})
    words: Sequence[int] = changes.pop("words", [1] * 19 + [2])
    made = Tokens(
        "gpt2",
        "bundled",
        tuple(Tokenized(text, found, ()) for text, found in ids.items()),
        tuple(Tokenized("x" * length, (7,) * count, ()) for length, count in lengths.items()),
        tuple(Tokenized(" word", (7,) * count, ()) for count in words),
        (1, 2),
        (15496, 2159),
    )
    return Results(tokens=replace(made, **changes))


def rungs(
    repetition: Sequence[Sequence[float]], logprob: Sequence[Sequence[float]], distinct: Sequence[Sequence[float]]
) -> Results:
    """Greedy and rising temperatures up to 2, each with one value a seed."""
    temperatures = (0.0, 0.3, 0.7, 1.0, 1.3, 2.0)
    made = []
    for at, *values in zip(temperatures, repetition, logprob, distinct, strict=True):
        seeds = tuple(range(len(values[0])))
        name = f"temperature {at:g}" if at else "greedy"
        made.append(Rung(name, at, seeds, ("text",) * len(seeds), *map(tuple, values)))
    return Results(temperatures=Temperatures("gpt2", "cache", "Who", 60, tuple(made)))


def ladder(
    greedy: float = 0.9,
    sampled: Sequence[float] = (0.0,) * 5,
    logprob: Sequence[float] = (-1, -1.5, -2, -3, -4, -8),
    distinct: Sequence[float] = (0.2, 0.6, 0.9, 0.95, 0.97, 1.0),
    hot: Sequence[float] | None = None,
) -> Results:
    repetition = [[greedy] * 5, [0.5] * 5, [0.2] * 5, list(sampled), [0.0] * 5, [0.0] * 5]
    logprobs = [[value] * 5 for value in logprob]
    if hot is not None:
        logprobs[-1] = list(hot)
    return rungs(repetition, logprobs, [[value] * 5 for value in distinct])


def rungs_without(*temperatures: float) -> Results:
    full = ladder().temperatures
    assert full is not None
    return Results(
        temperatures=replace(full, rungs=tuple(one for one in full.rungs if one.temperature not in temperatures))
    )


def method(name: str, value: float, half: float = 0.02, n: int = 2000, measure: str = "accuracy") -> Method:
    return Method("run", name, measure, value, value - half, value + half, n)


def paired(mean: float, half: float, p: float) -> PairedTest:
    return PairedTest(mean, mean - half, mean + half, 30, 20, p, 2000)


def comparison(task: str, data: str, *found: Method, pairs: Any = (), **more: Any) -> Comparison:
    tests = {**dict(pairs), **{(two, one): test.reversed() for (one, two), test in dict(pairs).items()}}
    return Comparison("run", task, data, "minilm", True, 9.0, {one.method: one for one in found}, tests, **more)


def emotion(*found: Method, data: str = "emotion", labels: tuple[str, ...] = EMOTIONS, **more: Any) -> Results:
    return Results(comparisons={"emotion": comparison("classify", data, *found, labels=labels, **more)})


def news(*found: Method, data: str = "ag_news", labels: tuple[str, ...] = NEWS, **more: Any) -> Results:
    return Results(comparisons={"news": comparison("classify", data, *found, labels=labels, **more)})


def weighted(lr: PairedTest | None, mlp: PairedTest | None) -> Results:
    pairs = {(f"weighted: {name}", f"emotion: {name}"): one for name, one in (("lr", lr), ("mlp", mlp)) if one}
    found = comparison("classify", "emotion", pairs=pairs, counts=(900, 100))
    return Results(comparisons={"weighted": found, "emotion": comparison("classify", "emotion")})


def both(first: Results, second: Results) -> Results:
    return Results(comparisons={**first.comparisons, **second.comparisons})


def questions(found: Method, p: float | None = None, hidden: float = 0.2) -> Results:
    controls = {"chance": method("chance", 0.2, 0.0), "longest": method("longest", 0.25), "margin": method("m", hidden)}
    alone = {"margin": p} if p is not None else {}
    return Results(comparisons={"questions": comparison("choose", "everyday", found, controls=controls, hidden=alone)})


def documents(first: str, second: str, test: PairedTest, other: float = 0.5) -> Results:
    found = [method(first, other + test.mean, n=77, measure="ndcg@10"), method(second, other, n=77, measure="ndcg@10")]
    return Results(comparisons={"documents": comparison("retrieve", "w", *found, pairs={(first, second): test})})


@dataclass(frozen=True)
class Case:
    holds: Results
    contradicted: Results
    undecided: Results | None
    """None where nothing is drawn at random"""
    figures: tuple[str, ...]
    """which of the figures that decide it ``why`` must tell, of the first results"""


FROZEN = ("lr", "mlp")
LR, MLP = method("lr", 0.67, 0.02), method("mlp", 0.66, 0.02)
CASES = {
    "1 bigrams": Case(training(1.8), training(2.4), None, ("1.800 nats (2.60 bits)", "step 900", "2.190 nats")),
    "1 samples": Case(
        verse((50, 5), (50, 25), (50, 30)),
        verse((50, 30), (50, 25), (50, 5)),
        verse((50, 20), (50, 25), (50, 24)),
        ("10.0% (95%: 4.3% to 21.4%, n = 50)", "60.0% (95%: 46.2% to 72.4%, n = 50)", "step 0", "step 2", "p < 0.001"),
    ),
    "1 copy": Case(verse(longest_copy=25), verse(longest_copy=26), None, ("25", "4,000")),
    "1 rhyme": Case(
        verse(rhymes=0.2, rhyme_interval=(0.1, 0.3)),
        verse(rhymes=0.01, rhyme_interval=(0.0, 0.04)),
        verse(rhymes=0.06, rhyme_interval=(0.02, 0.1)),
        ("20.0% (95%: 10.0% to 30.0%, n = 60)", "5.0%", "97.0%"),
    ),
    "2.1 case": Case(tokens(), tokens(examples={"hello World": (15496, 2159)}), None, ("15496 2159", "31373 2159")),
    "2.1 leading": Case(tokens(), tokens(examples={" hello World": (31373, 2159)}), None, ("31373", "23748")),
    "2.1 trailing": Case(tokens(), tokens(examples={"Hello World ": (15496, 2159)}), None, ("15496 2159 220",)),
    "2.1 words": Case(tokens(), tokens(words=[1] * 17 + [2] * 3), None, ("2 tokens", "19 of 20", "word")),
    "2.1 length": Case(
        tokens(),
        tokens(lengths={20: 44, 40: 20, 80: 9, 160: 3}, examples=dict.fromkeys(SPELLINGS, (7,) * 60)),
        tokens(lengths={20: 3, 40: 1, 80: 4, 160: 1}),
        ("10 to 160 characters", "2 to 44 tokens"),
    ),
    "2.1 tensor": Case(tokens(), tokens(tensor_shape=(2,)), None, ("(1, 2)", "15496 2159")),
    "2.2 greedy": Case(ladder(0.5), ladder(0.49), None, ("50.0%",)),
    "2.2 sampling": Case(ladder(), ladder(sampled=[0.2] * 5), ladder(sampled=(0, 0, 0, 0, 0.2)), ("5 of 5", "0.0%")),
    "2.2 noise": Case(
        ladder(),
        ladder(logprob=(-8, -4, -3, -2, -1.5, -1)),
        ladder(logprob=(-3, -1, -4, -2, -4, -3)),
        ("-1.00 to -8.00", "20.0% to 100.0%", "-1.00, p = 0.003"),
    ),
    "2.2 nonsense": Case(
        ladder(),
        ladder(logprob=(-1, -1.5, -2, -3, -4, -5)),
        ladder(hot=(-8, -8, -8, -5, -5)),
        ("-3.00", "-8.00", "5 of 5"),
    ),
    "3.1 frozen": Case(
        emotion(replace(LR, low=0.65, high=0.69), MLP),
        emotion(method("lr", 0.76), MLP),
        emotion(method("lr", 0.68, 0.03)),
        ("67.0% (95%: 65.0% to 69.0%, n = 2,000)",),
    ),
    "3.1 weights": Case(
        weighted(paired(0.0, 0.01, 0.8), paired(0.005, 0.01, 0.3)),
        weighted(paired(0.0, 0.01, 0.8), paired(-0.05, 0.02, 0.001)),
        weighted(paired(0.0, 0.01, 0.8), paired(0.015, 0.01, 0.01)),
        ("+0.0 points (95%: -1.0 to +1.0, p = 0.80)", "+0.5 points", "900", "100"),
    ),
    "3.1 tuned": Case(
        emotion(method("finetune", 0.94)),
        emotion(method("finetune", 0.88)),
        emotion(method("finetune", 0.92)),
        ("94.0% (95%: 92.0% to 96.0%, n = 2,000)",),
    ),
    "3.1 balanced": Case(
        news(method("lr", 0.8), method("mlp", 0.915)),
        news(method("lr", 0.8), method("mlp", 0.85)),
        news(method("lr", 0.9), method("mlp", 0.85)),
        ("91.5% (95%: 89.5% to 93.5%, n = 2,000)",),
    ),
    "3.1 shallow": Case(
        both(emotion(pairs={FROZEN: paired(0.01, 0.01, 0.1)}), news(pairs={FROZEN: paired(0, 0.02, 1)})),
        both(emotion(pairs={FROZEN: paired(0.01, 0.01, 0.1)}), news(pairs={FROZEN: paired(0.05, 0.02, 0)})),
        emotion(pairs={FROZEN: paired(0.01, 0.02, 0.3)}),
        ("+1.0 points (95%: +0.0 to +2.0, p = 0.10)", "+0.0 points (95%: -2.0 to +2.0, p = 1.00)"),
    ),
    "3.1 features": Case(
        emotion(LR, MLP, pairs={("lr", "tfidf"): paired(0.03, 0.02, 0.0004)}),
        emotion(LR, MLP, pairs={("lr", "tfidf"): paired(-0.03, 0.02, 0.001)}),
        emotion(LR, MLP, pairs={("lr", "tfidf"): paired(0.03, 0.04, 0.05)}),
        ("+3.0 points (95%: +1.0 to +5.0, p < 0.001)", "minilm"),
    ),
    "3.2 zero-shot": Case(
        questions(method("zero-shot", 0.3)),
        questions(method("zero-shot", 0.1)),
        questions(method("zero-shot", 0.21)),
        ("30.0% (95%: 28.0% to 32.0%, n = 2,000)", "20.0%", "25.0%"),
    ),
    "3.2 margin": Case(
        questions(method("margin", 0.39)),
        questions(method("margin", 0.1)),
        questions(method("margin", 0.21)),
        ("39.0% (95%: 37.0% to 41.0%, n = 2,000)", "20.0%"),
    ),
    "3.2 question": Case(
        questions(method("margin", 0.39), 0.001),
        questions(method("margin", 0.39), 0.001, hidden=0.45),
        questions(method("margin", 0.39), 0.05, hidden=0.3),
        ("39.0%", "20.0%", "p = 0.001"),
    ),
    "3.3 cls": Case(
        documents("cls", "bm25", paired(-0.05, 0.04, 0.02), 0.5),
        documents("cls", "bm25", paired(-0.2, 0.09, 0.01), 0.5),
        documents("cls", "bm25", paired(-0.05, 0.06, 0.1), 0.5),
        ("[CLS] 0.450", "BM25 0.500 (95%: 0.480 to 0.520)", "-0.050 (95%: -0.090 to -0.010", "-0.100", "77"),
    ),
    "3.3 mean": Case(
        documents("mean", "cls", paired(0.05, 0.04, 0.02)),
        documents("mean", "cls", paired(-0.05, 0.04, 0.02)),
        documents("mean", "cls", paired(0.05, 0.06, 0.1)),
        ("mean pooling 0.550", "[CLS] 0.500", "+0.050 (95%: +0.010 to +0.090, p = 0.020)"),
    ),
    "3.3 trained": Case(
        documents("trained", "mean", paired(0.05, 0.04, 0.02)),
        documents("trained", "mean", paired(-0.05, 0.04, 0.02)),
        documents("trained", "mean", paired(0.05, 0.06, 0.1)),
        ("trained 0.550", "mean pooling 0.500", "+0.050 (95%: +0.010 to +0.090, p = 0.020)"),
    ),
}  # fmt: skip


def test_every_claim_of_the_lab_has_results_that_contradict_it() -> None:
    assert CASES.keys() == CLAIMS.keys()
    certain = {name for name, case in CASES.items() if case.undecided is None}
    assert certain == {f"2.1 {name}" for name in ("case", "leading", "trailing", "words", "tensor")} | {
        "1 bigrams", "1 copy", "2.2 greedy",
    }  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_results_decide_a_claim(name: str) -> None:
    claim, case = CLAIMS[name], CASES[name]
    found = claim.judge(case.holds)
    assert found.outcome == "holds", found
    assert [figure for figure in case.figures if figure not in found.why] == [], found.why
    assert claim.judge(case.contradicted).outcome == "does not hold"
    if case.undecided is not None:
        assert claim.judge(case.undecided).outcome == "could be chance"


@pytest.mark.parametrize("name", CLAIMS)
def test_without_results_a_claim_is_not_tested_and_names_the_step_to_do(name: str) -> None:
    found = CLAIMS[name].judge(Results())
    assert found.outcome == "not tested"
    (named,) = [one for one in STEPS if STEPS[one].kind == "work" and f"do step {one}." in found.why]
    assert named.split()[0] == name.split()[0]


def without(results: Results, work: str, **changes: Any) -> Results:
    return Results(comparisons={work: replace(results.comparisons[work], **changes)})


ABSENT: dict[str, tuple[Results, str]] = {
    "1 bigrams": (training(1.8, None), "bigrams"),
    "1 samples": (verse((50, 5), (0, 0)), "fewer than two samples"),
    "1 copy": (verse(characters=499), "499 characters"),
    "1 rhyme": (verse(rhymes=None, rhyme_interval=None), "too few lines"),
    "2.1 case": (tokens(examples={"another": ()}), "2.1 tokens"),
    "2.1 leading": (tokens(examples={"another": ()}), "2.1 tokens"),
    "2.1 trailing": (tokens(examples={"another": ()}), "2.1 tokens"),
    "2.1 tensor": (tokens(examples={"another": ()}), "2.1 tokens"),
    "2.1 words": (tokens(words=[]), "2.1 tokens"),
    "2.1 length": (tokens(lengths={}, examples=None), "texts of different lengths"),
    "2.2 greedy": (ladder(math.nan), "2.2 temperatures"),
    "2.2 sampling": (rungs_without(1.0), "2.2 temperatures"),
    "2.2 noise": (rungs_without(0.3, 0.7, 1.0, 1.3), "2.2 temperatures"),
    "2.2 nonsense": (rungs_without(2.0), "2.2 temperatures"),
    "3.1 frozen": (emotion(method("tfidf", 0.8)), "no figure of logistic regression and the MLP"),
    "3.1 weights": (weighted(None, None), "same test rows"),
    "3.1 tuned": (emotion(LR), "no figure of fine-tuning"),
    "3.1 balanced": (news(method("finetune", 0.9)), "no figure of logistic regression and the MLP"),
    "3.1 shallow": (emotion(LR, MLP), "3.1 emotion"),
    "3.1 features": (emotion(LR, MLP), "3.1 emotion"),
    "3.2 zero-shot": (
        without(questions(MLP), "questions", notices=("the model is gpt2", "zero-shot, partial: 3 of 9 items")),
        "run has no figure of zero-shot. zero-shot, partial: 3 of 9 items",
    ),
    "3.2 margin": (without(questions(method("margin", 0.4)), "questions", controls={}), "guessing"),
    "3.2 question": (questions(method("margin", 0.3)), "question hidden"),
    "3.3 cls": (documents("mean", "bm25", paired(0, 1, 1)), "no figure of [CLS]"),
    "3.3 mean": (documents("trained", "mean", paired(0, 1, 1)), "no figure of [CLS]"),
    "3.3 trained": (without(documents("trained", "mean", paired(0, 1, 1)), "documents", pairs={}), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("2.1 trailing", tokens(examples={"Hello World ": (15496, 2159, 221)})),
        ("2.1 words", tokens(examples={"Hello World": (1, 2, 3)})),
        ("2.1 tensor", tokens(tensor_ids=(15496, 220))),
        ("2.2 noise", ladder(distinct=(1.0, 0.97, 0.95, 0.9, 0.6, 0.2))),
    ],
)
def test_each_part_of_a_claim_can_contradict_it(name: str, results: Results) -> None:
    assert CLAIMS[name].judge(results).outcome == "does not hold"


@pytest.mark.parametrize("name", CLAIMS)
def test_of_results_with_a_part_missing_a_claim_says_which(name: str) -> None:
    results, why = ABSENT[name]
    found = CLAIMS[name].judge(results)
    assert found.outcome == "not tested"
    assert why in found.why


@pytest.mark.parametrize(
    ("name", "results", "give"),
    [
        ("3.1 frozen", emotion(LR, labels=("a", "b")), "dair-ai/emotion"),
        ("3.1 frozen", emotion(LR, data="feelings"), "dair-ai/emotion"),
        ("3.1 tuned", emotion(method("finetune", 0.9), data="feelings"), "dair-ai/emotion"),
        ("3.1 balanced", news(LR, labels=EMOTIONS), "fancyzhx/ag_news"),
    ],
)
def test_a_claim_about_a_data_set_is_not_tested_on_another_one(name: str, results: Results, give: str) -> None:
    found = CLAIMS[name].judge(results)
    assert found.outcome == "not tested"
    assert give in found.why
    assert next(iter(results.comparisons.values())).data in found.why


def test_a_ladder_without_greedy_says_nothing_of_it() -> None:
    assert CLAIMS["2.2 greedy"].judge(rungs_without(0.0)).outcome == "not tested"


def test_a_part_that_is_contradicted_outweighs_one_that_is_undecided() -> None:
    orders = list(itertools.product(("holds", "could be chance", "does not hold"), repeat=2))
    outcomes: list[str] = [judging.together(pair) for pair in orders]
    rank = ["does not hold", "could be chance", "holds"]
    assert outcomes == [min(pair, key=rank.index) for pair in orders]


def test_a_training_that_has_not_ended_supports_a_claim_and_does_not_contradict_it() -> None:
    judge = CLAIMS["1 bigrams"].judge
    assert judge(training(1.8, finished=False)).outcome == "holds"
    assert judge(training(2.4, finished=False)).outcome == "not tested"


@pytest.mark.parametrize(("raw", "said"), [(True, False), (False, True), (None, True)])
def test_a_claim_names_the_encoder_unless_it_is_one_as_that_of_the_course(raw: bool | None, said: bool) -> None:
    why = CLAIMS["3.1 tuned"].judge(emotion(method("finetune", 0.9), raw_encoder=raw)).why
    assert ("The encoder is minilm" in why) is said
    assert ("trained for sentence similarity" in why) is (raw is False)


def test_more_than_asked_is_enough_except_where_the_course_found_that_it_stops_there() -> None:
    assert CLAIMS["3.1 tuned"].judge(emotion(method("finetune", 0.99, 0.005))).outcome == "holds"
    assert CLAIMS["3.1 frozen"].judge(emotion(method("lr", 0.99, 0.005))).outcome == "does not hold"


def test_the_claim_about_a_language_model_names_it() -> None:
    found = without(questions(method("zero-shot", 0.3)), "questions", model="smollm2")
    assert "The language model is smollm2." in CLAIMS["3.2 zero-shot"].judge(found).why


@pytest.mark.parametrize("model", ["openai-community/gpt2", "smollm2"])
def test_a_claim_about_generated_text_names_a_model_that_is_not_that_of_the_course(model: str) -> None:
    found = ladder().temperatures
    assert found is not None
    for name in ("greedy", "sampling", "noise", "nonsense"):
        why = CLAIMS[f"2.2 {name}"].judge(Results(temperatures=replace(found, model=model))).why
        assert ("The model is smollm2; the course had GPT-2." in why) is (model == "smollm2")


def test_few_seeds_do_not_decide_what_most_completions_do() -> None:
    one = rungs([[0.9]] + [[0.0]] * 5, [[-1.0]] * 6, [[0.5]] * 6)
    found = CLAIMS["2.2 sampling"].judge(one)
    assert found.outcome == "could be chance"
    assert "1 of 1" in found.why
    assert "More seeds" in found.why
    assert [judging.most(count, count) for count in (3, 4)] == ["could be chance", "holds"]
    assert judging.most(0, 4) == "does not hold"


def test_two_shares_of_words_are_tested_exactly() -> None:
    """Against the hypergeometric distribution, summed by hand."""
    first, last = (20, 4), (30, 15)
    known, words = 4 + 15, 20 + 30
    chances = [math.comb(20, k) * math.comb(30, known - k) / math.comb(words, known) for k in range(known + 1)]
    p = sum(one for one in chances if one <= chances[4] * (1 + 1e-9))
    assert 0.03 < p < 0.1
    assert f"p = {p:.3f}" in CLAIMS["1 samples"].judge(verse(first, last)).why


def test_ranks_rise_where_more_pairs_agree() -> None:
    """Against Kendall's tau counted by hand; its p for six places is that of all orders."""
    x = [0.0, 0.3, 0.7, 1.0, 1.3, 2.0]

    def agree(y: Sequence[float]) -> float:
        signs = [math.copysign(1, b - a) for a, b in itertools.combinations(y, 2)]
        return sum(signs) / len(signs)

    for y in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5], [2, 1, 3, 4, 6, 5], [6, 5, 4, 3, 2, 1]):
        outcome, tau, p = judging.rises(x, y)
        taus = [agree(order) for order in itertools.permutations(range(6))]
        assert tau == pytest.approx(agree(y))
        assert p == pytest.approx(sum(abs(one) >= abs(tau) - 1e-9 for one in taus) / len(taus))
        assert outcome == ("could be chance" if p >= 0.05 else "holds" if tau > 0 else "does not hold")
    assert judging.rises(x, [1.0] * 6) == ("could be chance", 0.0, 1.0)


def test_an_interval_decides_against_a_bound_and_around_a_figure() -> None:
    bounds = [(0.3, 0.4), (0.2, 0.4), (0.1, 0.2), (0.1, 0.19), (math.nan, math.nan)]
    assert [judging.above(*ends, 0.2) for ends in bounds] == [
        "holds", "could be chance", "could be chance", "does not hold", "could be chance",
    ]  # fmt: skip
    around = [(-0.02, 0.02), (-0.03, -0.01), (0.0, 0.03), (0.021, 0.03), (-0.05, -0.021), (-0.1, 0.1)]
    assert [judging.near(*ends, 0.0, 0.02) for ends in around] == [
        "holds", "could be chance", "could be chance", "does not hold", "does not hold", "could be chance",
    ]  # fmt: skip
