"""The claims about a GPT of one's own, a tokenizer and generated text (exercises 1 and 2), each with its predicate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.comparison.statistics import CHANCE
from engine.comparison.verdict import p_words
from engine.imports import import_beside_torch
from engine.lab import judging
from engine.lab.exercise import Claim, Verdict
from engine.lab.judging import UNDECIDED, decided, missing, percent

if TYPE_CHECKING:
    from engine.lab.results import Results, Rung, Temperatures, Tokenized, VerseFigures

FEW_CHARACTERS = 500  # of a generated text, for its longest copy
LONE_SPACE = 220  # id of a space in GPT-2's vocabulary
MOST_WORDS = 0.9  # share of the listed words that must be one token each
REPEATS, VARIES = 0.5, 0.1  # repetition of a text that repeats itself, and of one that does not
HOT = 1.5  # temperatures from here on are very high
SURPRISE = 2.0  # nonsense surprises a model so many times as much as text at temperature 1 does
_NO_TRAINING = "There is no training yet: do step 1 train."
_NO_VERSE = "The texts of the model have not been measured yet: do step 1 verse."
_NO_TOKENS = "The tokenizer has not been asked yet: do step 2.1 tokens."
_NO_TEXTS = "There are no completions yet: do step 2.2 temperatures."


def _nats(loss: float) -> str:
    return f"{loss:.3f} nats ({loss / math.log(2):.2f} bits) per character"


def _bigrams(results: Results) -> Verdict:
    training = results.training
    if training is None or training.best_loss is None:
        return missing(_NO_TRAINING)
    if training.bigrams is None:
        return missing("The run does not hold the entropy of bigrams: train once more with step 1 train.")
    below = training.best_loss < training.bigrams
    if not below and not training.finished:
        return missing("The training has not ended and its loss is not below that of bigrams yet: let it finish.")
    why = f"The lowest validation loss is {_nats(training.best_loss)}, at step {training.best_step:,}"
    return Verdict(decided(below), f"{why}; bigrams reach {_nats(training.bigrams)}.")


def _known(figures: VerseFigures) -> str:
    low, high = figures.known_interval or (math.nan, math.nan)
    return judging.share(figures.known_words or 0.0, low, high, figures.words)


def _samples(results: Results) -> Verdict:
    if results.verse is None:
        return missing(_NO_VERSE)
    counted = [one for one in results.verse.samples if one.known_words is not None]
    if len(counted) < 2:
        return missing("The run holds fewer than two samples with words: train with samples.")
    first, last = counted[0], counted[-1]
    table = []
    for one in (first, last):
        right = round((one.known_words or 0.0) * one.words)
        table.append((right, one.words - right))
    p = float(import_beside_torch("scipy.stats").fisher_exact(table).pvalue)
    risen = (last.known_words or 0.0) > (first.known_words or 0.0)
    steps = [f"step {one.step:,}" if one.step is not None else one.name for one in (first, last)]
    why = (
        f"Of the words that the model writes, {_known(first)} occur in the corpus at {steps[0]} and {_known(last)} at "
        f"{steps[1]} (Fisher's exact test, {p_words(p)})."
    )
    return Verdict(decided(risen) if p < CHANCE else UNDECIDED, why)


def _copy(results: Results) -> Verdict:
    if results.verse is None:
        return missing(_NO_VERSE)
    wrote, corpus = results.verse.generated, results.verse.corpus
    if wrote.characters < FEW_CHARACTERS:
        return missing(f"Only {wrote.characters:,} characters were generated; {FEW_CHARACTERS} are needed.")
    why = (
        f"The longest piece of the generated text that occurs in the training part has {wrote.longest_copy:,} "
        f"characters ({wrote.characters:,} were generated); that of the validation part has {corpus.longest_copy:,} "
        f"({corpus.characters:,} were looked at)."
    )
    return Verdict(decided(wrote.longest_copy <= corpus.longest_copy), why)


def _rhyme(results: Results) -> Verdict:
    if results.verse is None:
        return missing(_NO_VERSE)
    wrote, corpus = results.verse.generated, results.verse.corpus
    if wrote.rhymes is None or wrote.rhyme_interval is None or wrote.chance is None:
        return missing("The generated text has too few lines for rhymes to be counted: generate a longer one.")
    low, high = wrote.rhyme_interval
    why = (
        f"In the generated text {judging.share(wrote.rhymes, low, high, wrote.rhyme_pairs)} of the line pairs that "
        f"terza rima joins rhyme; with its lines in random order {percent(wrote.chance)} do"
    )
    why += f", and {percent(corpus.rhymes)} in the corpus." if corpus.rhymes is not None else "."
    return Verdict(judging.above(low, high, wrote.chance), why)


BIGRAMS = Claim("The GPT predicts the validation text better than bigrams do.", _bigrams)
SAMPLES = Claim("While it trains, more of the words that it writes are words of the corpus.", _samples)
COPY = Claim(
    "It writes and does not copy: its longest copied piece is no longer than that of the validation part.",
    _copy,
)
RHYME = Claim("Its lines rhyme in terza rima more often than they would in random order.", _rhyme)


def _ids(text: Tokenized) -> str:
    return f'"{text.text}" is {" ".join(map(str, text.ids))}'


def _examples(results: Results) -> tuple[Tokenized, ...] | None:
    """The five spellings, or None where they were not tokenized."""
    return results.tokens.examples if results.tokens is not None and len(results.tokens.examples) == 5 else None


def _case(results: Results) -> Verdict:
    if (examples := _examples(results)) is None:
        return missing(_NO_TOKENS)
    plain, lower, *_ = examples
    return Verdict(decided(plain.ids != lower.ids), f"{_ids(plain)}; {_ids(lower)}.")


def _leading(results: Results) -> Verdict:
    if (examples := _examples(results)) is None:
        return missing(_NO_TOKENS)
    _, lower, spaced, *_ = examples
    return Verdict(decided(lower.ids != spaced.ids), f"{_ids(lower)}; {_ids(spaced)}.")


def _trailing(results: Results) -> Verdict:
    if (examples := _examples(results)) is None:
        return missing(_NO_TOKENS)
    plain, *_, trailing = examples
    return Verdict(decided(trailing.ids == (*plain.ids, LONE_SPACE)), f"{_ids(plain)}; {_ids(trailing)}.")


def _words(results: Results) -> Verdict:
    if (examples := _examples(results)) is None or results.tokens is None or not results.tokens.words:
        return missing(_NO_TOKENS)
    plain, words = examples[0], results.tokens.words
    split = [word.text.strip() for word in words if len(word.ids) != 1]
    single = len(words) - len(split)
    why = f'"{plain.text}" is {len(plain.ids)} tokens; {single} of {len(words)} common words are one token each'
    why += f" (not {', '.join(split[:5])})." if split else "."
    return Verdict(decided(len(plain.ids) == 2 and single >= MOST_WORDS * len(words)), why)


def _length(results: Results) -> Verdict:
    if results.tokens is None:
        return missing(_NO_TOKENS)
    texts = [one for one in (*results.tokens.examples, *results.tokens.own) if one.text]
    characters, tokens = [len(one.text) for one in texts], [len(one.ids) for one in texts]
    if len({*characters}) < 2:
        return missing("There are no texts of different lengths: type some of your own in step 2.1 tokens.")
    outcome, tau, p = judging.rises(characters, tokens)
    why = (
        f"{len(texts)} texts of {min(characters):,} to {max(characters):,} characters have {min(tokens):,} to "
        f"{max(tokens):,} tokens, {sum(characters) / max(1, sum(tokens)):.1f} characters per token; Kendall's rank "
        f"correlation of the two lengths is {tau:.2f} ({p_words(p)})."
    )
    return Verdict(outcome, why)


def _tensor(results: Results) -> Verdict:
    if (examples := _examples(results)) is None or results.tokens is None:
        return missing(_NO_TOKENS)
    plain, shape, ids = examples[0], results.tokens.tensor_shape, results.tokens.tensor_ids
    why = f"{_ids(plain)}; the tensor has shape {shape} and holds {' '.join(map(str, ids))}."
    return Verdict(decided(shape == (1, len(plain.ids)) and ids == plain.ids), why)


CASE = Claim(
    "Case matters: the same words with another case are other tokens.",
    _case,
    '"Hello World" is 15496 2159 and "hello World" 31373 2159: case matters',
)
LEADING = Claim(
    "A leading space matters: a word after a space is another token than the word alone.",
    _leading,
    '" hello World" is 23748 2159: space matters',
)
TRAILING = Claim(
    f"A space that nothing follows is a token of its own, id {LONE_SPACE}.",
    _trailing,
    '"Hello World " is 15496 2159 220: a space has an id of its own when nothing follows it',
)
WORDS = Claim(
    f"Common English words are one token each: Hello, World and at least {MOST_WORDS:.0%} of a list of words.",
    _words,
    "Hello and World are one id each, which suggests that many English words are",
)
LENGTH = Claim(
    "The longer the text, the longer its encoding.",
    _length,
    "the encoded length increases with the length of the input",
)
TENSOR = Claim(
    'With return_tensors="pt" the same ids come as a tensor of shape (1, n).',
    _tensor,
    "return_tensors='pt' gives PyTorch tensors in place of lists",
)


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _rungs(results: Results) -> list[Rung]:
    """Greedy and rising temperatures, each with a completion at least."""
    found = results.temperatures.rungs if results.temperatures is not None else ()
    return sorted((one for one in found if one.texts), key=lambda one: one.temperature)


def _at_one(rungs: list[Rung]) -> Rung | None:
    return next((one for one in rungs if one.temperature == 1.0), None)


def _of(temperatures: Temperatures | None) -> str:
    """Which model wrote the texts, where it is not that of the course."""
    if temperatures is None or "gpt2" in temperatures.model.casefold():
        return ""
    return f" The model is {temperatures.model}; the course had GPT-2."


def _greedy(results: Results) -> Verdict:
    rungs = _rungs(results)
    if not rungs or rungs[0].temperature:
        return missing(_NO_TEXTS)
    if math.isnan(repetition := _mean(rungs[0].repetition)):
        return missing(_NO_TEXTS)
    why = f"{percent(repetition)} of the tokens that greedy decoding writes lie in a repeated run of four."
    return Verdict(decided(repetition >= REPEATS), why + _of(results.temperatures))


def _sampling(results: Results) -> Verdict:
    if (rung := _at_one(_rungs(results))) is None:
        return missing(_NO_TEXTS)
    varied = sum(value < VARIES for value in rung.repetition)
    why = (
        f"At temperature 1, {varied} of {len(rung.repetition)} completions repeat less than {VARIES:.0%} of their "
        f"tokens; the mean is {percent(_mean(rung.repetition))}."
    )
    outcome = judging.most(varied, len(rung.repetition))
    return Verdict(
        outcome, why + (" More seeds decide it." if outcome == UNDECIDED else "") + _of(results.temperatures)
    )


def _noise(results: Results) -> Verdict:
    rungs = _rungs(results)
    if len(rungs) < 3:
        return missing(_NO_TEXTS)
    temperatures = [one.temperature for one in rungs]
    logprobs, distinct = ([_mean(values) for values in each] for each in _columns(rungs))
    falls, tau, p = judging.rises(temperatures, [-one for one in logprobs])
    rises, of_pairs, p_pairs = judging.rises(temperatures, distinct)
    ends = f"from {rungs[0].name} to {rungs[-1].name}"
    why = (
        f"{ends[0].upper()}{ends[1:]} the mean log-probability goes from {logprobs[0]:.2f} to {logprobs[-1]:.2f} nats "
        f"per token (Kendall's tau with the temperature {-tau:.2f}, {p_words(p)}) and the share of different token "
        f"pairs from {percent(distinct[0])} to {percent(distinct[-1])} ({of_pairs:.2f}, {p_words(p_pairs)})."
    )
    return Verdict(judging.together((falls, rises)), why + _of(results.temperatures))


def _columns(rungs: list[Rung]) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    return [one.logprob for one in rungs], [one.distinct for one in rungs]


def _nonsense(results: Results) -> Verdict:
    rungs = _rungs(results)
    usual = _at_one(rungs)
    if usual is None or rungs[-1].temperature < HOT:
        return missing(_NO_TEXTS)
    hottest, level = rungs[-1], _mean(usual.logprob)
    wild = sum(value <= SURPRISE * level for value in hottest.logprob)
    outcome = judging.most(wild, len(hottest.logprob))
    why = (
        f"The mean log-probability of a token is {level:.2f} nats at temperature 1 and {_mean(hottest.logprob):.2f} at "
        f"{hottest.name}, where {wild} of {len(hottest.logprob)} completions are below {SURPRISE:g} times {level:.2f}."
    )
    return Verdict(
        outcome, why + (" More seeds decide it." if outcome == UNDECIDED else "") + _of(results.temperatures)
    )


GREEDY = Claim(
    f"Greedy decoding repeats itself: at least {REPEATS:.0%} of its tokens lie in a repeated run of four.",
    _greedy,
    "greedy generation repeats one sentence until the limit of tokens",
)
SAMPLING = Claim(
    f"Sampling does not repeat: at temperature 1 most completions repeat less than {VARIES:.0%} of their tokens.",
    _sampling,
    "do_sample=True gives more diverse text in place of the same greedy one",
)
NOISE = Claim(
    "The higher the temperature, the less probable and the more varied the text.",
    _noise,
    "the higher the temperature, the noisier and more unpredictable the generation",
)
NONSENSE = Claim(
    f"Very high temperatures give nonsense: the model finds the tokens of most completions at least {SURPRISE:g} times "
    "as surprising, in nats, as those at temperature 1.",
    _nonsense,
    "very high temperatures give wrong words and random symbols",
)
