"""What the report of the lab shows of each kind of work: tables of figures with intervals, texts and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.choose.report import CONTROLS
from engine.lab import temperatures as temperature
from engine.markdown import code, fenced, table, text
from engine.report import svg
from engine.report.page import quoted
from engine.report.svg import Line

if TYPE_CHECKING:
    from engine.lab.results import Comparison, Temperatures, Tokenized, Tokens, Training, Verse
    from engine.report.methods import Method

_RUNG_FIGURES = {
    "repetition": ("repetition", "share of tokens in a repeated run of four"),
    "logprob": ("log-probability", "mean log-probability, nats per token"),
    "distinct": ("distinct-2", "distinct-2"),
}
"""of temperatures: short and long name"""
_DRAWN = ("repetition", "logprob")
LONGEST = 80  # characters of a text in a table


@dataclass(frozen=True)
class Section:
    """Part of the page."""

    lines: Sequence[str]
    """of Markdown"""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """SVG by name of its file"""
    commands: Sequence[str] = ()
    """that repeat a measurement; of a run they follow from its spec"""


def training(found: Training) -> Section:
    """Figures beside what simple guesses reach, and the samples of three moments."""
    rows: list[tuple[Any, ...]] = []
    if (best := found.best_loss) is not None:
        rows += [
            ("**best validation loss**, nats per character", f"**{best:.4f}**", f"step {found.best_step:,}"),
            ("bits per character", best / math.log(2), f"step {found.best_step:,}"),
        ]
    if found.validation:
        step, loss = found.validation[-1]
        rows.append(("last validation loss, nats per character", loss, f"step {step:,}"))
    guesses = {"a uniform guess": found.uniform, "letter frequencies": found.letters, "bigrams": found.bigrams}
    rows += [(f"loss of {name}, nats per character", of, "") for name, of in guesses.items() if of is not None]
    rows += [("parameters", found.parameters, ""), ("time", seconds(found.seconds), f"{found.steps:,} steps")]
    lines = [f"Trained on {code(found.corpus)}.", "", *table(("figure", "value", "of"), rows), ""]
    for one in found.samples:
        lines += [f"Sample at step {one.step:,}:", "", *fenced(one.text), ""]
    return Section(lines)


def verse(found: Verse) -> Section:
    """What is counted in the corpus, in the samples and in a longer text."""
    every = (found.corpus, *found.samples, found.generated)
    rows = [
        (
            text(one.name),
            one.characters,
            one.words,
            share(one.known_words, one.known_interval),
            one.longest_copy,
            "–" if one.line_length is None else f"{one.line_length:.1f} ± {one.line_spread or 0:.1f}",
            share(one.rhymes, one.rhyme_interval),
            one.rhyme_pairs,
            share(one.chance),
        )
        for one in every
    ]
    heads = ("text", "characters", "words", "words of the corpus", "longest copy, characters", "line, characters")
    lines = [
        *table((*heads, "rhymes (aba bcb)", "line pairs", "in random order"), rows),
        "",
        "Words and copies are looked up in the training part of the corpus; intervals are of 95% (Wilson); lines are "
        "given as mean ± standard deviation.",
        "",
        *(f"- Longest copy, {text(one.name)}: {code(repr(one.copied))}" for one in every if one.copied),
        "",
        f"Written by the best checkpoint at temperature {found.temperature:g}, seed {found.seed}:",
        "",
        *fenced(found.text),
        "",
    ]
    options = f"--length {len(found.text)} --temperature {found.temperature:g} --seed {found.seed}"
    return Section(lines, commands=[f"llmlab-tui sample {quoted(found.run)} {options}"])


def tokens(found: Tokens, guesses: Mapping[str, int]) -> Section:
    """The five spellings with what was guessed, texts and words, and the ids as a tensor."""
    guessed = [(one, guesses[one.text]) for one in found.examples if one.text in guesses]
    right = sum(len(one.ids) == guess for one, guess in guessed)
    whole = sum(len(one.ids) == 1 for one in found.words)
    examples = [(*_tokenized(one), guesses.get(one.text), _ids(one), _pieces(one)) for one in found.examples]
    own = [(*_tokenized(one), f"{len(one.text) / max(1, len(one.ids)):.2f}") for one in found.own]
    shape = ", ".join(map(str, found.tensor_shape))
    lines = [
        f"Tokenizer {code(found.tokenizer)}. "
        + (f"Guesses that are right: {right} of {len(guessed)}." if guessed else "There are no guesses yet."),
        "",
        *table(("text", "characters", "tokens", "guess", "ids", "pieces"), examples),
        "",
        f'With `return_tensors="pt"` the ids of the first text are a tensor of shape ({shape}): '
        f"{code(list(found.tensor_ids))}.",
        "",
    ]
    if own:
        lines += [*table(("text", "characters", "tokens", "characters per token"), own), ""]
    if found.words:
        several = ", ".join(code(one.text) for one in found.words if len(one.ids) != 1)
        rest = f" The others: {several}." if several else ""
        lines += [
            f"Common English words that are one token with the space before: {whole} of {len(found.words)}.{rest}"
        ]
        lines += [""]
    texts = " ".join(f"{quoted(one.text)}" for one in found.examples)
    loop = f'for text in {texts}; do llmlab-tui tokenize --tokenizer {quoted(found.tokenizer)} "$text"; done'
    return Section(lines, commands=[loop])


def temperatures(found: Temperatures) -> Section:
    """Figures over temperature, as means over seeds with intervals, and the text of the first seed of each."""
    curves = temperature.curves(found)
    at = {name: {point[0]: point for point in points} for name, points in curves.items()}
    rows = []
    for rung in found.rungs:
        cells: list[Any] = [code(rung.name), len(rung.seeds)]
        for name in _RUNG_FIGURES:
            _, middle, *ends = at[name].get(rung.temperature, (0.0, None, None, None))
            cells += [middle, ends if ends[0] != ends[1] else None]
        rows.append(cells)
    pictures = {}
    for name in _DRAWN:
        short, label = _RUNG_FIGURES[name]
        band = [(x, low, high) for x, _, low, high in curves[name]]
        line = Line(short, [(x, middle) for x, middle, *_ in curves[name]], band, dots=True)
        title = f"{short} over temperature, {found.model}"
        pictures[f"{short}.svg"] = svg.plot([line], "temperature (0: greedy)", label, title=title)
    heads = ["setting", "texts", *(head for short, _ in _RUNG_FIGURES.values() for head in (short, "95%"))]
    lines = [
        f"Model {code(found.model)}, prompt {code(repr(found.prompt))}, at most {found.tokens} tokens.",
        "",
        *table(heads, rows),
        "",
        "Means over seeds with 95% intervals (Student's t), the bands of the curves; one text alone has none.",
        "",
    ]
    for rung in found.rungs:
        if rung.texts:
            lines += [f"{text(rung.name.capitalize())}, seed {rung.seeds[0]}:", "", *fenced(rung.texts[0]), ""]
    return Section(lines, pictures, _sweeps(found))


def comparison(found: Comparison) -> Section:
    """Methods with intervals, controls, paired tests, and the classes of a classification."""
    best = max(found.methods.values(), key=lambda one: one.figure, default=None)
    about = f"Data {code(found.data)}" + (f", encoder {code(found.encoder)}" if found.encoder else "")
    lines = [f"{about}; {seconds(found.seconds)}.", ""]
    if best is not None:
        rows = [
            _figures(f"**{code(name)}**" if one is best else code(name), one) for name, one in found.methods.items()
        ]
        lines += [*table(("method", best.measure, "95% interval", "judged"), rows), ""]
    if found.controls:
        rows = [
            (
                *_figures(code(name) + " with the question hidden" * (name not in CONTROLS), one),
                p(found.hidden.get(name)),
            )
            for name, one in found.controls.items()
        ]
        lines += [*table(("control", "accuracy", "95% interval", "judged", "p, with the question shown"), rows), ""]
    if found.labels:
        lines += [*table(("class", "training rows"), zip(map(code, found.labels), found.counts, strict=False)), ""]
    pairs = [
        (one, two)
        for number, (one, two) in enumerate(found.pairs)
        if (two, one) not in [*found.pairs][:number]
        and one.split(": ")[0] != two.split(": ")[0]  # those of one run are among its own pairs
    ]
    if pairs:
        rows = [
            (code(one), code(two), f"{test.mean:+.4f}", [test.low, test.high], p(test.p))
            for (one, two), test in ((pair, found.pairs[pair]) for pair in pairs)
        ]
        lines += [*table(("first", "second", "first less second", "95% interval", "p (Holm)"), rows), ""]
    return Section([*lines, *(f"- {text(one)}" for one in found.notices), ""])


def share(value: float | None, ends: tuple[float, float] | None = None) -> str:
    """A share from 0 to 1 in percent, with its interval."""
    if value is None:
        return "–"
    return f"{value:.1%}" + (f" ({ends[0]:.1%} to {ends[1]:.1%})" if ends else "")


def seconds(value: float | None) -> str:
    """A duration."""
    return "–" if value is None else f"{value:,.0f} s" if value < 600 else f"{value / 60:,.0f} min"


def p(value: float | None) -> str:
    """A probability as tests give it."""
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _figures(name: str, one: Method) -> tuple[Any, ...]:
    known = not (math.isnan(one.low) or math.isnan(one.high))
    return name, one.figure, [one.low, one.high] if known else None, one.n or None


def _tokenized(one: Tokenized) -> tuple[str, int, int]:
    shown = one.text if len(one.text) <= LONGEST else f"{one.text[:LONGEST]}…"
    return code(repr(shown)), len(one.text), len(one.ids)


def _ids(one: Tokenized) -> str:
    return code(", ".join(map(str, one.ids)))


def _pieces(one: Tokenized) -> str:
    return " ".join(code(repr(piece)) for piece in one.pieces)


def _sweeps(found: Temperatures) -> list[str]:
    """The command whose texts and figures are those of the ladder, for each of its seeds."""
    seeds = dict.fromkeys(str(seed) for rung in found.rungs for seed in rung.seeds)
    sweep = f"llmlab-tui sweep {quoted(found.prompt)} --model {quoted(found.model)} --max-new-tokens {found.tokens}"
    return [f'for seed in {" ".join(seeds)}; do {sweep} --seed "$seed"; done']
