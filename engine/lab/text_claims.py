"""The claims about a GPT of one's own, a tokenizer and generated text (exercises 1 and 2), each with its predicate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.comparison.statistics import CHANCE
from engine.comparison.verdict import p_words
from engine.imports import import_beside_torch
from engine.lab import judging
from engine.lab.exercise import Claim, NotTested, Outcome, Verdict
from engine.lab.judging import UNDECIDED, decided, percent

if TYPE_CHECKING:
    from engine.lab.results import Results, Rung, Temperatures, Tokenized, Tokens, Verse, VerseFigures

FEW_CHARACTERS = 500  # of a generated text, for its longest copy
LONE_SPACE = 220  # id of a space in GPT-2's vocabulary
MOST_WORDS = 0.9  # share of the listed words that must be one token each
REPEATS, VARIES = 0.5, 0.1  # repetition of a text that repeats itself, and of one that does not
HOT = 1.5  # temperatures from here on are very high
SURPRISE = 2.0  # nonsense surprises a model so many times as much as text at temperature 1 does
_NO_TRAINING = "There is no training yet: do step 1 train."
_NO_TOKENS = "The tokenizer has not been asked yet: do step 2.1 tokens."
_NO_TEXTS = "There are no completions yet: do step 2.2 temperatures."


def _nats(loss: float) -> str:
    return f"{loss:.3f} nats ({loss / math.log(2):.2f} bits) per character"


def _bigrams(results: Results) -> Verdict:
    training = results.training
    if training is None or training.best_loss is None:
        raise NotTested(_NO_TRAINING)
    if training.bigrams is None:
        raise NotTested("The run does not hold the entropy of bigrams: train once more with step 1 train.")
    below = training.best_loss < training.bigrams
    if not below and not training.finished:
        raise NotTested("The training has not ended and its loss is not below that of bigrams yet: let it finish.")
    why = f"The lowest validation loss is {_nats(training.best_loss)}, at step {training.best_step:,}"
    return Verdict(decided(below), f"{why}; bigrams reach {_nats(training.bigrams)}.")


def _verse(results: Results) -> Verse:
    if results.verse is None:
        raise NotTested("The texts of the model have not been measured yet: do step 1 verse.")
    return results.verse


def _known(figures: VerseFigures) -> str:
    low, high = figures.known_interval or (math.nan, math.nan)
    return judging.share(figures.known_words or 0.0, low, high, figures.words)


def _samples(results: Results) -> Verdict:
    counted = [one for one in _verse(results).samples if one.known_words is not None]
    if len(counted) < 2:
        raise NotTested("The run holds fewer than two samples with words: train with samples.")
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
    wrote, corpus = _verse(results).generated, _verse(results).corpus
    if wrote.characters < FEW_CHARACTERS:
        raise NotTested(f"Only {wrote.characters:,} characters were generated; {FEW_CHARACTERS} are needed.")
    why = (
        f"The longest piece of the generated text that occurs in the training part has {wrote.longest_copy:,} "
        f"characters ({wrote.characters:,} were generated); that of the validation part has {corpus.longest_copy:,} "
        f"({corpus.characters:,} were looked at)."
    )
    return Verdict(decided(wrote.longest_copy <= corpus.longest_copy), why)


def _rhyme(results: Results) -> Verdict:
    wrote, corpus = _verse(results).generated, _verse(results).corpus
    if wrote.rhymes is None or wrote.rhyme_interval is None or wrote.chance is None:
        raise NotTested("The generated text has too few lines for rhymes to be counted: generate a longer one.")
    low, high = wrote.rhyme_interval
    why = (
        f"In the generated text {judging.share(wrote.rhymes, low, high, wrote.rhyme_pairs)} of the line pairs that "
        f"terza rima joins rhyme; with its lines in random order {percent(wrote.chance)} do"
    )
    why += f", and {percent(corpus.rhymes)} in the corpus." if corpus.rhymes is not None else "."
    return Verdict(judging.above(low, high, wrote.chance), why)


def _ids(text: Tokenized) -> str:
    return f'"{text.text}" is {" ".join(map(str, text.ids))}'


def _tokens(results: Results) -> Tokens:
    if results.tokens is None:
        raise NotTested(_NO_TOKENS)
    return results.tokens


def _examples(results: Results) -> tuple[Tokenized, ...]:
    """The five spellings."""
    if len(examples := _tokens(results).examples) != 5:
        raise NotTested(_NO_TOKENS)
    return examples


def _case(results: Results) -> Verdict:
    plain, lower, *_ = _examples(results)
    return Verdict(decided(plain.ids != lower.ids), f"{_ids(plain)}; {_ids(lower)}.")


def _leading(results: Results) -> Verdict:
    _, lower, spaced, *_ = _examples(results)
    return Verdict(decided(lower.ids != spaced.ids), f"{_ids(lower)}; {_ids(spaced)}.")


def _trailing(results: Results) -> Verdict:
    plain, *_, trailing = _examples(results)
    return Verdict(decided(trailing.ids == (*plain.ids, LONE_SPACE)), f"{_ids(plain)}; {_ids(trailing)}.")


def _words(results: Results) -> Verdict:
    plain, words = _examples(results)[0], _tokens(results).words
    if not words:
        raise NotTested(_NO_TOKENS)
    split = [word.text.strip() for word in words if len(word.ids) != 1]
    single = len(words) - len(split)
    why = f'"{plain.text}" is {len(plain.ids)} tokens; {single} of {len(words)} common words are one token each'
    why += f" (not {', '.join(split[:5])})." if split else "."
    return Verdict(decided(len(plain.ids) == 2 and single >= MOST_WORDS * len(words)), why)


def _length(results: Results) -> Verdict:
    tokens = _tokens(results)
    texts = [one for one in (*tokens.examples, *tokens.own) if one.text]
    characters, counts = [len(one.text) for one in texts], [len(one.ids) for one in texts]
    if len({*characters}) < 2:
        raise NotTested("There are no texts of different lengths: type some of your own in step 2.1 tokens.")
    outcome, tau, p = judging.rises(characters, counts)
    why = (
        f"{len(texts)} texts of {min(characters):,} to {max(characters):,} characters have {min(counts):,} to "
        f"{max(counts):,} tokens, {sum(characters) / max(1, sum(counts)):.1f} characters per token; Kendall's rank "
        f"correlation of the two lengths is {tau:.2f} ({p_words(p)})."
    )
    return Verdict(outcome, why)


def _tensor(results: Results) -> Verdict:
    plain, tokens = _examples(results)[0], _tokens(results)
    shape, ids = tokens.tensor_shape, tokens.tensor_ids
    why = f"{_ids(plain)}; the tensor has shape {shape} and holds {' '.join(map(str, ids))}."
    return Verdict(decided(shape == (1, len(plain.ids)) and ids == plain.ids), why)


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _rungs(results: Results) -> tuple[list[Rung], Temperatures]:
    """Greedy and rising temperatures, each with a completion at least."""
    temperatures = results.temperatures
    if temperatures is None or not (rungs := [one for one in temperatures.rungs if one.texts]):
        raise NotTested(_NO_TEXTS)
    return sorted(rungs, key=lambda one: one.temperature), temperatures


def _at_one(rungs: list[Rung]) -> Rung:
    for one in rungs:
        if one.temperature == 1.0:
            return one
    raise NotTested(_NO_TEXTS)


def _verdict(outcome: Outcome, why: str, temperatures: Temperatures, *, more: bool = False) -> Verdict:
    """With ``more`` seeds can decide it. Which model wrote the texts is said where it is not that of the course."""
    if more and outcome == UNDECIDED:
        why += " More seeds decide it."
    if "gpt2" not in temperatures.model.casefold():
        why += f" The model is {temperatures.model}; the course had GPT-2."
    return Verdict(outcome, why)


def _greedy(results: Results) -> Verdict:
    (greedy, *_), temperatures = _rungs(results)
    if greedy.temperature or math.isnan(repetition := _mean(greedy.repetition)):
        raise NotTested(_NO_TEXTS)
    why = f"{percent(repetition)} of the tokens that greedy decoding writes lie in a repeated run of four."
    return _verdict(decided(repetition >= REPEATS), why, temperatures)


def _sampling(results: Results) -> Verdict:
    rungs, temperatures = _rungs(results)
    rung = _at_one(rungs)
    varied = sum(value < VARIES for value in rung.repetition)
    why = (
        f"At temperature 1, {varied} of {len(rung.repetition)} completions repeat less than {VARIES:.0%} of their "
        f"tokens; the mean is {percent(_mean(rung.repetition))}."
    )
    return _verdict(judging.most(varied, len(rung.repetition)), why, temperatures, more=True)


def _noise(results: Results) -> Verdict:
    rungs, temperatures = _rungs(results)
    if len(rungs) < 3:
        raise NotTested(_NO_TEXTS)
    at = [one.temperature for one in rungs]
    logprobs, distinct = [_mean(one.logprob) for one in rungs], [_mean(one.distinct) for one in rungs]
    falls, tau, p = judging.rises(at, [-one for one in logprobs])
    rises, of_pairs, p_pairs = judging.rises(at, distinct)
    ends = f"from {rungs[0].name} to {rungs[-1].name}"
    why = (
        f"{ends[0].upper()}{ends[1:]} the mean log-probability goes from {logprobs[0]:.2f} to {logprobs[-1]:.2f} nats "
        f"per token (Kendall's tau with the temperature {-tau:.2f}, {p_words(p)}) and the share of different token "
        f"pairs from {percent(distinct[0])} to {percent(distinct[-1])} ({of_pairs:.2f}, {p_words(p_pairs)})."
    )
    return _verdict(judging.together((falls, rises)), why, temperatures)


def _nonsense(results: Results) -> Verdict:
    rungs, temperatures = _rungs(results)
    hottest, level = rungs[-1], _mean(_at_one(rungs).logprob)
    if hottest.temperature < HOT:
        raise NotTested(_NO_TEXTS)
    wild = sum(value <= SURPRISE * level for value in hottest.logprob)
    why = (
        f"The mean log-probability of a token is {level:.2f} nats at temperature 1 and {_mean(hottest.logprob):.2f} at "
        f"{hottest.name}, where {wild} of {len(hottest.logprob)} completions are below {SURPRISE:g} times {level:.2f}."
    )
    return _verdict(judging.most(wild, len(hottest.logprob)), why, temperatures, more=True)


CLAIMS: Mapping[str, Claim] = {
    "1 bigrams": Claim("The GPT predicts the validation text better than bigrams do.", _bigrams),
    "1 samples": Claim("While it trains, more of the words that it writes are words of the corpus.", _samples),
    "1 copy": Claim(
        "It writes and does not copy: its longest copied piece is no longer than that of the validation part.",
        _copy,
    ),
    "1 rhyme": Claim("Its lines rhyme in terza rima more often than they would in random order.", _rhyme),
    "2.1 case": Claim(
        "Case matters: the same words with another case are other tokens.",
        _case,
        '"Hello World" is 15496 2159 and "hello World" 31373 2159: case matters',
    ),
    "2.1 leading": Claim(
        "A leading space matters: a word after a space is another token than the word alone.",
        _leading,
        '" hello World" is 23748 2159: space matters',
    ),
    "2.1 trailing": Claim(
        f"A space that nothing follows is a token of its own, id {LONE_SPACE}.",
        _trailing,
        '"Hello World " is 15496 2159 220: a space has an id of its own when nothing follows it',
    ),
    "2.1 words": Claim(
        f"Common English words are one token each: Hello, World and at least {MOST_WORDS:.0%} of a list of words.",
        _words,
        "Hello and World are one id each, which suggests that many English words are",
    ),
    "2.1 length": Claim(
        "The longer the text, the longer its encoding.",
        _length,
        "the encoded length increases with the length of the input",
    ),
    "2.1 tensor": Claim(
        'With return_tensors="pt" the same ids come as a tensor of shape (1, n).',
        _tensor,
        "return_tensors='pt' gives PyTorch tensors in place of lists",
    ),
    "2.2 greedy": Claim(
        f"Greedy decoding repeats itself: at least {REPEATS:.0%} of its tokens lie in a repeated run of four.",
        _greedy,
        "greedy generation repeats one sentence until the limit of tokens",
    ),
    "2.2 sampling": Claim(
        f"Sampling does not repeat: at temperature 1 most completions repeat less than {VARIES:.0%} of their tokens.",
        _sampling,
        "do_sample=True gives more diverse text in place of the same greedy one",
    ),
    "2.2 noise": Claim(
        "The higher the temperature, the less probable and the more varied the text.",
        _noise,
        "the higher the temperature, the noisier and more unpredictable the generation",
    ),
    "2.2 nonsense": Claim(
        f"Very high temperatures give nonsense: the model finds the tokens of most completions at least {SURPRISE:g} "
        "times as surprising, in nats, as those at temperature 1.",
        _nonsense,
        "very high temperatures give wrong words and random symbols",
    ),
}
"""by step"""
