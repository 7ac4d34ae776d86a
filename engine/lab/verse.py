"""Figures of verse: known words, the longest copy, line length and rhyme, of a corpus and of what a model wrote."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from os.path import commonprefix
from statistics import fmean, stdev
from typing import TYPE_CHECKING, TypeAlias

from engine.lab.results import Sample, Verse, VerseFigures

if TYPE_CHECKING:
    from checkpoints.run import Run
    from engine.runs.events import Event
    from engine.runs.messages import Control

    Stanza: TypeAlias = list[str]

_WORD = re.compile(r"(?:[^\W\d_]|['’])*[^\W\d_](?:[^\W\d_]|['’])*")
_LETTERS = re.compile(r"[^\W\d_]+")
_VOWELS = "aeiou"
_ACCENTS = "\u0300\u0301"  # grave and acute, decomposed; a diaeresis marks no stress


@dataclass(frozen=True)
class Training:
    """The part of a corpus that a model was trained on."""

    text: str
    words: frozenset[str]
    """all that occur in it"""

    @classmethod
    def of(cls, text: str) -> Training:
        return cls(text, frozenset(words(text)))


def words(text: str) -> list[str]:
    """The words of a text in order: maximal runs of letters and apostrophes with a letter among them, casefolded."""
    return [found.replace("’", "'").casefold() for found in _WORD.findall(unicodedata.normalize("NFC", text))]


def longest_copy(text: str, source: str) -> str:
    """The longest piece of ``text`` that occurs in ``source``; of several the one that ``source`` has first.

    A longest common substring (Gusfield, Algorithms on Strings, Trees, and Sequences, 1997, 7.4), by one pass over the
    windows of ``source`` that are one character longer than the longest piece so far: a longer piece begins with one
    that is a window of ``text`` too.
    """
    piece, windows = "", set(text)
    for start in range(len(source)):
        if (window := source[start : start + len(piece) + 1]) in windows:
            ahead = source[start : start + len(text)]
            places = (at for at in range(len(text)) if text.startswith(window, at))
            piece = max((commonprefix((text[at:], ahead)) for at in places), key=len)  # noqa: RUF071 - of characters
            windows = {text[at : at + len(piece) + 1] for at in range(len(text) - len(piece))}
    return piece


def ending(line: str) -> str:
    """What must be equal in two lines that rhyme: the end of the last word from its stressed vowel on, accents folded.

    Rhyme is identity from the last stressed vowel on (Beltrami, La metrica italiana, 2011). No dictionary of stress is
    used: a last letter with an accent is stressed (*virtù*: u), any other word is taken to be stressed on the last
    vowel letter but one (*vita*: ita; *cielo*: elo), or on its only one. So *gloria* and *via* rhyme here, the Sicilian
    rhyme of *voi* and *fui* does not, and equal words do. Empty where the line ends without such a word.
    """
    found = _LETTERS.findall(unicodedata.normalize("NFC", line).casefold())
    if not found:
        return ""
    decomposed = unicodedata.normalize("NFD", found[-1])
    word = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    vowels = [place for place, letter in enumerate(word) if letter in _VOWELS]
    if not vowels:
        return ""
    return word[vowels[-1 if decomposed[-1] in _ACCENTS else -2 :][0] :]


def chains(text: str) -> Iterator[list[Stanza]]:
    """The stanzas of a text, those together that one chain of rhymes may join; lines without their indentation.

    Empty lines end a stanza, two or more of them the chain. Where none are printed between tercets a new stanza begins
    after every third line, and at each line with the rarer of two indentations, by which some editions mark tercets.
    Thus lines at a distance of two are compared in any text.
    """
    for block in re.split(r"\n(?:[^\S\n]*\n){2,}", text):
        found: list[Stanza] = []
        for paragraph in re.split(r"\n(?:[^\S\n]*\n)+", block):
            lines = [line for line in paragraph.split("\n") if line.strip()]
            indents = [len(line) - len(line.lstrip()) for line in lines]
            two = len(lines) > 3 and len(set(indents)) == 2
            rarer = min(indents, key=indents.count) if two else None
            for place, line in enumerate(lines):
                if not place or indents[place] == rarer or len(found[-1]) == 3:
                    found.append([])
                found[-1].append(line.strip())
        yield found


def pairs(text: str) -> list[tuple[str, str]]:
    """Lines that rhyme in terza rima (aba bcb cdc): the first and third of a tercet, the second and the next's first.

    That a second line rhymes with the third one of the next tercet follows from these, so it is not tested: an interval
    over pairs takes them to be independent. A stanza of fewer lines has no second line to go on from.
    """
    found = []
    for stanzas in chains(text):
        for place, stanza in enumerate(stanzas):
            if len(stanza) == 3:
                found.append((stanza[0], stanza[2]))
                found += [(stanza[1], following[0]) for following in stanzas[place + 1 : place + 2]]
    return found


def chance(lines: list[str]) -> float | None:
    """The expected share of pairs that rhyme where lines are in random order: that of all pairs of them."""
    total = len(lines) * (len(lines) - 1)
    alike = Counter(filter(None, map(ending, lines)))
    return sum(count * (count - 1) for count in alike.values()) / total if total else None


def figures(name: str, text: str, training: Training, step: int | None = None) -> VerseFigures:
    """Count ``text``, which begins with a whole line; a last line or word that is cut counts for the copy alone."""
    from engine.comparison.statistics import wilson

    copied = longest_copy(text, training.text)
    found = words(re.sub(r"\S+\Z", "", text) or text)
    known = sum(word in training.words for word in found)
    whole = text[: text.rfind("\n") + 1]
    lines = [line.strip() for line in whole.split("\n") if line.strip()]
    lengths = [*map(len, lines)]
    tested = pairs(whole)
    rhymes = sum(ending(one) == ending(two) != "" for one, two in tested)
    return VerseFigures(
        name=name,
        step=step,
        characters=len(text),
        words=len(found),
        known_words=known / len(found) if found else None,
        known_interval=wilson(known, len(found)) if found else None,
        longest_copy=len(copied),
        copied=copied,
        line_length=fmean(lengths) if lengths else None,
        line_spread=stdev(lengths) if len(lengths) > 1 else None,
        rhymes=rhymes / len(tested) if tested else None,
        rhyme_interval=wilson(rhymes, len(tested)) if tested else None,
        rhyme_pairs=len(tested),
        chance=chance(lines) if tested else None,
    )


def moments(run: Run) -> tuple[Sample, ...]:
    """The first sample of a training that it took by itself, one at about half of the steps, and the last.

    Fewer where there are fewer. Raises :class:`OSError` where the journal cannot be read.
    """
    from engine.report import journal
    from engine.report.tables import Samples

    parts, found = Samples(), dict[int, Sample]()
    for part in journal.read(run, ()):
        if (
            isinstance(part, journal.Happened)
            and (sample := parts.add(part))
            and sample["sample"] == str(sample["step"])
        ):
            found[sample["step"]] = Sample(sample["step"], sample["text"])
    if not found:
        return ()
    middle = min(found, key=lambda step: (abs(step - (min(found) + max(found)) / 2), step))
    return tuple(found[step] for step in sorted({min(found), middle, max(found)}))


def measure(run: Run, control: Control, *, length: int, seed: int = 1337) -> Generator[Event, None, Verse]:
    """Write ``length`` characters by the best checkpoint of a training; count them, its samples and its corpus.

    Prompt and temperature are those of the run's samples. Of the corpus as many characters of the validation part are
    counted as were written, from its first line break on; all are compared with the training part. Yields the parts of
    the text as they come. Raises :class:`engine.runs.messages.Stopped`, :class:`checkpoints.store.CheckpointError`
    where the run has no model, :class:`data.corpus.CorpusError` where its corpus is not there any more, and
    :class:`OSError`.
    """
    from engine.gpt.setup import load_corpus
    from engine.gpt.spec import TrainSpec
    from engine.gpt.trained import load, take_sample
    from engine.runs.events import Finished, Progress, SampleText
    from engine.runs.messages import handle_messages
    from engine.runs.spec import restored

    trained = load(str(run.path))
    spec = restored(TrainSpec, trained.spec)
    corpus = yield from load_corpus(spec, run, control, resume=True)
    written = ""
    for event in take_sample(trained, spec.sample_prompt, length, seed, spec.temperature):
        yield from handle_messages(control, len(written))
        if isinstance(event, SampleText):
            before, written = len(written), written + event.text
            if len(written) * 50 // length > before * 50 // length:
                yield Progress("writing verse", len(written), length)
        if not isinstance(event, Finished):
            yield event
    training_part, _ = corpus.split()
    training = Training.of(corpus.text(0, len(training_part)))
    validation = corpus.text(len(training_part), len(training_part) + length + 1000)
    begin = validation.find("\n") + 1
    return Verse(
        run=run.name,
        corpus=figures("corpus (validation part)", validation[begin : begin + length], training),
        samples=tuple(
            figures(f"sample, step {one.step:,}", _from_a_line(one.text, spec.sample_prompt), training, one.step)
            for one in moments(run)
        ),
        generated=figures(
            f"generated, step {trained.step:,}", _from_a_line(written, spec.sample_prompt), training, trained.step
        ),
        text=written,
        seed=seed,
        temperature=spec.temperature,
    )


def _from_a_line(text: str, prompt: str) -> str:
    """``text`` without what the line that ``prompt`` began goes on with."""
    return text if prompt.endswith("\n") else text.partition("\n")[2] or text
