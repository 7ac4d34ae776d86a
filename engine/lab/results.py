"""The results that the claims of the lab are tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.comparison.statistics import PairedTest
    from engine.report.methods import Method


@dataclass(frozen=True)
class Sample:
    """A text that a model wrote at a step of its training."""

    step: int
    text: str


@dataclass(frozen=True)
class Training:
    """What came of training a GPT. Losses in nats per character."""

    run: str
    corpus: str
    """name and source, as in the journal"""
    finished: bool
    steps: int
    seconds: float | None
    parameters: int | None
    best_loss: float | None
    best_step: int
    validation: tuple[tuple[int, float], ...]
    """step and validation loss of every evaluation"""
    uniform: float | None
    """entropy of a uniform guess, as the next two from the journal"""
    letters: float | None
    bigrams: float | None
    samples: tuple[Sample, ...]
    """three moments: the first sample, one near the middle, the last; fewer where there are fewer"""


@dataclass(frozen=True)
class VerseFigures:
    """What can be counted in verse, of one text."""

    name: str
    """``corpus (validation part)``, ``generated, step 1,000``, …"""
    step: int | None
    characters: int
    words: int
    known_words: float | None
    """share of words that occur in the training part of the corpus, 0 to 1"""
    known_interval: tuple[float, float] | None
    """95% interval (Wilson), as the next"""
    longest_copy: int
    """characters of the longest piece that occurs in the training part of the corpus"""
    copied: str
    """that piece"""
    line_length: float | None
    """mean characters of a line that is not empty"""
    line_spread: float | None
    """standard deviation"""
    rhymes: float | None
    """of verse in tercets: share of testable line pairs (aba bcb) that rhyme"""
    rhyme_interval: tuple[float, float] | None
    rhyme_pairs: int
    chance: float | None
    """the same share with lines in random order"""


@dataclass(frozen=True)
class Verse:
    """Verse figures of the corpus and of what a model wrote."""

    run: str
    corpus: VerseFigures
    samples: tuple[VerseFigures, ...]
    """of the samples in the journal, in order of steps"""
    generated: VerseFigures
    """of a longer text by the best checkpoint"""
    text: str
    """that text"""
    seed: int
    temperature: float


@dataclass(frozen=True)
class Tokenized:
    """One text by one tokenizer."""

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Tokens:
    """What a tokenizer does with the texts of exercise 2.1."""

    tokenizer: str
    source: str
    examples: tuple[Tokenized, ...]
    """the five spellings of "Hello World", in the order of :data:`engine.lab.tokens.EXAMPLES`"""
    own: tuple[Tokenized, ...]
    """texts of one's own, or the ones that come with the lab"""
    words: tuple[Tokenized, ...]
    """common English words, each with a leading space"""
    tensor_shape: tuple[int, ...]
    """of the ids of the first example as a tensor"""
    tensor_ids: tuple[int, ...]


@dataclass(frozen=True)
class Rung:
    """The prompt completed at one temperature, by several seeds. Figures as in :mod:`engine.lm.sweep`."""

    name: str
    """``greedy`` or ``temperature 0.7``"""
    temperature: float
    """0 for greedy"""
    seeds: tuple[int, ...]
    texts: tuple[str, ...]
    """by seed, as the next three"""
    repetition: tuple[float, ...]
    logprob: tuple[float, ...]
    distinct: tuple[float, ...]


@dataclass(frozen=True)
class Temperatures:
    """The ladder of temperatures."""

    model: str
    source: str
    prompt: str
    tokens: int
    """of a completion, at most"""
    rungs: tuple[Rung, ...]
    """greedy first, then rising temperatures"""


@dataclass(frozen=True)
class Comparison:
    """A run that compares methods."""

    run: str
    task: str
    data: str
    encoder: str
    """empty where none was used"""
    finished: bool
    seconds: float | None
    methods: Mapping[str, Method]
    """by name; figures with intervals"""
    pairs: Mapping[tuple[str, str], PairedTest]
    """paired tests in both orders, p adjusted (Holm)"""
    labels: tuple[str, ...] = ()
    """of a classification: its classes"""
    counts: tuple[int, ...] = ()
    """of a classification: training rows of each class"""
    controls: Mapping[str, Method] = field(default_factory=dict)
    """of a ranking of choices: by method its accuracy with the question hidden, and ``chance`` and ``longest``"""
    hidden: Mapping[str, float] = field(default_factory=dict)
    """of a ranking of choices: by method the p of the paired test with itself with the question hidden"""
    raw_encoder: bool | None = None
    """whether the encoder was pre-trained to predict words only; None where it is not known"""
    notices: tuple[str, ...] = ()
    model: str = ""
    """of a ranking of choices: its language model"""


@dataclass(frozen=True)
class Results:
    """Everything that there is; None, or absent, for what has not been computed."""

    training: Training | None = None
    verse: Verse | None = None
    tokens: Tokens | None = None
    temperatures: Temperatures | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """by name of the work: emotion, weighted, news, questions, documents"""
