"""The claims about pre-trained encoders that are used again (exercise 3), each with its predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engine.comparison.statistics import CHANCE
from engine.comparison.verdict import p_words
from engine.lab import judging
from engine.lab.exercise import Claim, NotTested, Verdict
from engine.lab.judging import UNDECIDED, accuracy, decided, percent

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest
    from engine.lab.results import Comparison, Results
    from engine.report.methods import Method

EMOTION = frozenset({"sadness", "joy", "love", "anger", "fear", "surprise"})
AG_NEWS = frozenset({"world", "sports", "business", "sci/tech"})
"""classes of the data sets of the course, in lower case"""
FEELINGS = "feelings"
"""the bundled data set that stands in for emotion, with the same classes"""
ABOUT = 0.03  # a figure "of about" another is so near to it
SAME = 0.02  # methods that are basically the same differ by less
PRETTY_FAR = 0.8  # share of BM25's nDCG@10
FROZEN = ("lr", "mlp")
NAMES = {
    "lr": "logistic regression",
    "mlp": "the MLP",
    "finetune": "fine-tuning",
    "tfidf": "TF-IDF",
    "zero-shot": "zero-shot",
    "margin": "the margin ranker",
    "bm25": "BM25",
    "cls": "[CLS]",
    "mean": "mean pooling",
    "trained": "trained",
}
_GIVE = {
    "emotion": "give emotion, such as dair-ai/emotion from the Hub or a folder with it",
    "news": "give ag_news, such as fancyzhx/ag_news from the Hub or a folder with it",
}


def _absent(comparison: Comparison, *methods: str) -> str:
    """Which of the methods a run has no figure of, in a sentence; empty where it has all."""
    absent = [method for method in methods if method not in comparison.methods]
    why = [told for told in comparison.notices if any(told.startswith(method) for method in absent)]
    named = " and ".join(NAMES[method] for method in absent)
    return " ".join((f"The run {comparison.run} has no figure of {named}.", *why)) if absent else ""


def _run(results: Results, work: str, step: str) -> Comparison:
    """The run of a work, which ``step`` does."""
    if (comparison := results.comparisons.get(work)) is None:
        raise NotTested(f"There is no run yet: do step {step}.")
    return comparison


def _encoder(comparison: Comparison) -> str:
    """What is to be known of the encoder for a claim that the course made of DistilBERT as it was pre-trained."""
    if comparison.raw_encoder or not comparison.encoder:
        return ""
    known = ", which was trained for sentence similarity" if comparison.raw_encoder is False else ""
    return f" The encoder is {comparison.encoder}{known}; the course had DistilBERT as it was pre-trained."


def _named(comparison: Comparison, classes: frozenset[str]) -> bool:
    """Whether a classification is of a data set with these classes, and not of the bundled one."""
    return {name.casefold() for name in comparison.labels} == classes and comparison.data != FEELINGS


def _reaches(
    work: str, step: str, classes: frozenset[str], target: float, *methods: str, no_more: bool = False
) -> Callable[[Results], Verdict]:
    """Whether the best of the methods reaches about ``target``; with ``no_more``, and no more than that."""

    def judge(results: Results) -> Verdict:
        comparison = _run(results, work, step)
        if not _named(comparison, classes):
            raise NotTested(f"The data set here is {comparison.data}: {_GIVE[work]}.")
        found = [comparison.methods[name] for name in methods if name in comparison.methods]
        if not found:
            raise NotTested(_absent(comparison, *methods))
        best = max(found, key=lambda one: one.figure)
        outcome = (
            judging.near(best.low, best.high, target, ABOUT)
            if no_more
            else judging.above(best.low, best.high, target - ABOUT)
        )
        within = f"within {100 * ABOUT:g} points of" if no_more else f"above {percent(target - ABOUT)}, near"
        why = f"{_capital(NAMES[best.method])} reaches {accuracy(best)}; asked is {within} {percent(target)}."
        rows = f" It was trained on {sum(comparison.counts):,} rows." if comparison.counts else ""
        return Verdict(outcome, why + rows + _encoder(comparison))

    return judge


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _weights(results: Results) -> Verdict:
    weighted = _run(results, "weighted", "3.1 weighted")
    _run(results, "emotion", "3.1 weighted")
    tests = {name: weighted.pairs.get((f"weighted: {name}", f"emotion: {name}")) for name in FROZEN}
    found = {name: test for name, test in tests.items() if test is not None}
    if not found:
        raise NotTested("The two runs do not judge the same test rows: train both on the same data.")
    outcome = judging.together(judging.near(test.low, test.high, 0.0, SAME) for test in found.values())
    parts = [f"{NAMES[name]} by {judging.points(test)}" for name, test in found.items()]
    rows = (
        f" The largest class has {max(weighted.counts):,} training rows, the smallest {min(weighted.counts):,}."
        if weighted.counts
        else ""
    )
    return Verdict(outcome, f"Class weights change the accuracy of {' and of '.join(parts)} on {weighted.data}.{rows}")


def _shallow(results: Results) -> Verdict:
    outcomes, parts = [], []
    for work in ("emotion", "news"):
        comparison = results.comparisons.get(work)
        if comparison is not None and (test := comparison.pairs.get(FROZEN)) is not None:
            outcomes.append(judging.near(test.low, test.high, 0.0, SAME))
            parts.append(f"{judging.points(test)} on {comparison.data}")
    if not parts:
        raise NotTested("There is no run with logistic regression and MLP yet: do step 3.1 emotion.")
    return Verdict(judging.together(outcomes), f"Logistic regression less MLP: {'; '.join(parts)}.")


def _words(results: Results) -> Verdict:
    outcomes, parts, about = [], [], ""
    for work in ("emotion", "news"):
        comparison = results.comparisons.get(work)
        found = [] if comparison is None else [comparison.methods[one] for one in FROZEN if one in comparison.methods]
        if comparison is None or not found:
            continue
        best = max(found, key=lambda one: one.figure)
        if (test := comparison.pairs.get((best.method, "tfidf"))) is not None:
            outcomes.append(judging.better(test))
            parts.append(
                f"{NAMES[best.method]} on frozen features less TF-IDF is {judging.points(test)} on {comparison.data}"
            )
            about = _encoder(comparison)
    if not parts:
        raise NotTested("There is no run with frozen features and TF-IDF yet: do step 3.1 emotion.")
    return Verdict(judging.together(outcomes), f"{_capital('; '.join(parts))}.{about}")


def _above_chance(method: str) -> Callable[[Results], Verdict]:
    def judge(results: Results) -> Verdict:
        comparison = _run(results, "questions", "3.2 questions")
        found, chance = comparison.methods.get(method), comparison.controls.get("chance")
        if found is None or chance is None:
            raise NotTested(_absent(comparison, method) or f"{comparison.run} does not hold what guessing reaches.")
        why = f"{_capital(NAMES[method])} has {accuracy(found)} right; guessing has {percent(chance.figure)}"
        longest = comparison.controls.get("longest")
        why += f", always choosing the longest {percent(longest.figure)}." if longest is not None else "."
        if method == "zero-shot" and comparison.model:
            why += f" The language model is {comparison.model}."
        return Verdict(judging.above(found.low, found.high, chance.figure), why)

    return judge


def _question(results: Results) -> Verdict:
    comparison = _run(results, "questions", "3.2 questions")
    found, hidden = (each.get("margin") for each in (comparison.methods, comparison.controls))
    p = comparison.hidden.get("margin")
    if found is None or hidden is None or p is None:
        raise NotTested(_absent(comparison, "margin") or f"{comparison.run} holds no figures with the question hidden.")
    outcome = decided(found.figure > hidden.figure) if p < CHANCE else UNDECIDED
    why = f"The margin ranker has {accuracy(found)} right, with the question hidden {accuracy(hidden)} ({p_words(p)})."
    return Verdict(outcome, why)


def _documents(results: Results, first: str, second: str) -> tuple[Comparison, Method, Method, PairedTest]:
    """The run on documents, two of its methods and their test."""
    comparison = _run(results, "documents", "3.3 documents")
    if absent := _absent(comparison, first, second):
        raise NotTested(absent)
    if (test := comparison.pairs.get((first, second))) is None:
        raise NotTested(f"The rankings of {comparison.run} cannot be read: do step 3.3 documents again.")
    return comparison, comparison.methods[first], comparison.methods[second], test


def _ndcg(method: Method) -> str:
    return f"{NAMES[method.method]} {method.figure:.3f} (95%: {method.low:.3f} to {method.high:.3f})"


def _far(results: Results) -> Verdict:
    comparison, cls, bm25, test = _documents(results, "cls", "bm25")
    outcome = judging.above(test.low, test.high, (PRETTY_FAR - 1) * bm25.figure)
    why = (
        f"nDCG@10 on {comparison.data}, {cls.n:,} queries: {_ndcg(cls)}, {_ndcg(bm25)}; the difference is "
        f"{judging.difference(test)}, and {PRETTY_FAR:.0%} of BM25 would be {(PRETTY_FAR - 1) * bm25.figure:+.3f}."
    )
    return Verdict(outcome, why + _encoder(comparison))


def _improves(first: str, second: str) -> Callable[[Results], Verdict]:
    """Whether one way to use an encoder ranks documents better than another."""

    def judge(results: Results) -> Verdict:
        comparison, one, other, test = _documents(results, first, second)
        why = (
            f"nDCG@10 on {comparison.data}, {one.n:,} queries: {_ndcg(one)}, {_ndcg(other)}; the difference is "
            f"{judging.difference(test)}."
        )
        return Verdict(judging.better(test), why + _encoder(comparison))

    return judge


CLAIMS: Mapping[str, Claim] = {
    "3.1 frozen": Claim(
        "On emotion, a shallow classifier on frozen features reaches about 67% accuracy, within "
        f"{100 * ABOUT:g} points.",
        _reaches("emotion", "3.1 emotion", EMOTION, 0.67, *FROZEN, no_more=True),
        "on emotion the classifier struggles to reach 67% test accuracy, on frozen features of DistilBERT",
    ),
    "3.1 weights": Claim(
        f"Class weights make no difference to the accuracy: it changes by less than {100 * SAME:g} points.",
        _weights,
        "with or without weights in the loss, the accuracy on emotion is the same",
    ),
    "3.1 tuned": Claim(
        f"On emotion, fine-tuning reaches about 94% accuracy: at least {0.94 - ABOUT:.0%}.",
        _reaches("emotion", "3.1 emotion", EMOTION, 0.94, "finetune"),
        "a fine-tuned DistilBERT goes up to 94% accuracy on emotion",
    ),
    "3.1 balanced": Claim(
        f"On ag_news, a shallow classifier on frozen features reaches about 92% accuracy: at least {0.92 - ABOUT:.0%}.",
        _reaches("news", "3.1 news", AG_NEWS, 0.92, *FROZEN),
        "on ag_news the classifier reaches 92% test accuracy without effort, on frozen features of DistilBERT",
    ),
    "3.1 shallow": Claim(
        f"Logistic regression and an MLP are basically the same: less than {100 * SAME:g} points apart.",
        _shallow,
        "the results of a simple MLP and of an even simpler logistic regression are basically the same",
    ),
    "3.1 features": Claim("Frozen features classify better than word counts (TF-IDF).", _words),
    "3.2 zero-shot": Claim(
        "A language model picks the right choice more often than guessing, without training.",
        _above_chance("zero-shot"),
    ),
    "3.2 margin": Claim(
        "A ranker trained with the margin loss on frozen features is better than guessing, without fine-tuning.",
        _above_chance("margin"),
        "you might avoid fine-tuning by training a simple model to rank the choices with the margin ranking loss",
    ),
    "3.2 question": Claim("That ranker uses the question: with the question hidden it is worse.", _question),
    "3.3 cls": Claim(
        f"The cosine between [CLS] vectors gets pretty far: at least {PRETTY_FAR:.0%} of BM25's nDCG@10.",
        _far,
        "naively, just a cosine similarity between [CLS] tokens can get you pretty far",
    ),
    "3.3 mean": Claim("Mean vectors of all tokens rank documents better than [CLS] vectors.", _improves("mean", "cls")),
    "3.3 trained": Claim(
        "Training on queries ranks documents better than the frozen encoder does.", _improves("trained", "mean")
    ),
}
"""by step"""
