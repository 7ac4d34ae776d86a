"""What the Generate pane asks of its worker: with all arguments but the control, each is a task of the engine's form.

The engine, and torch with it, is imported when a task runs, in the worker's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from engine.lm.chat import Conversation, needed
from engine.lm.sampling import GenerateSpec, Sampling
from engine.lm.sweep import PROMPT
from engine.runs.events import Completed, Event, Notice, Token
from engine.runs.messages import Control
from engine.runs.spec import BadSpec, Problem
from engine.tokenization.encoding import NoTokenizer, Tokenizer
from tui.generate.token_layout import common_start

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel
    from engine.lm.sweep import Comparison

Pieces: TypeAlias = list[tuple[int, str]]
"""Tokens as ids, each with the text that it adds."""


def encode(tokenizer: Tokenizer, text: str) -> Pieces:
    """The tokens of ``text`` with what each adds to it, so that their texts joined are ``text``.

    Of tokens that share a character the last one adds it.
    """
    encoding = tokenizer.encode(text)
    made: Pieces = []
    done = 0
    for place, number in enumerate(encoding.ids):
        last = place + 1 == len(encoding.ids)
        end = len(text) if last else min(encoding.ends[place], encoding.starts[place + 1])
        made.append((number, text[done : max(done, end)]))
        done = max(done, end)
    return made


def recode(tokens: Pieces, draft: str, tokenizer: Tokenizer) -> tuple[int, Pieces]:
    """Tokens for ``draft`` after ``tokens``: how many of these stay, and what follows.

    A tokenizer may join what was appended with what stood before, so it is given the text from the last word that
    it starts anew (where it can be cut: at a space after a non-space), else all of it. A completion's own tokens
    before that stay as the model drew them, even where the tokenizer would spell their text otherwise.
    """
    if not draft:
        return len(tokens), []
    start = len(tokens) if tokenizer.cut is not None else 0
    following = draft
    while start > 0 and not (following.startswith(" ") and tokens[start - 1][1][-1:].strip()):
        start -= 1
        following = tokens[start][1]
    made = encode(tokenizer, "".join(text for _, text in tokens[start:]) + draft)
    same = common_start(tokens[start:], made)
    return start + same, made[same:]


CANDIDATES = 20
VERSE = "Nel mezzo del cammin di nostra vita\n"


@dataclass(frozen=True)
class Loaded(Event):
    """A model is there."""

    model: LanguageModel
    marks: Mapping[int, str] = field(default_factory=dict)
    """how the ids that begin or end a text, and add nothing to it, are spelled"""


@dataclass(frozen=True)
class Conversed(Event):
    """The model's chat template made ``text`` of a conversation."""

    conversation: Conversation
    text: str


@dataclass(frozen=True)
class Tokenized(Event):
    """What the text is made of; see :meth:`tui.generate.token_tree.TokenTree.settle`."""

    kept: int
    lead: str
    tokens: tuple[tuple[int, str], ...]
    base: int


@dataclass(frozen=True)
class Probed(Event):
    """What could stand at ``place``, under ``sampling``."""

    place: int
    sampling: Sampling
    token: Token


@dataclass(frozen=True)
class ReportWritten(Event):
    """A comparison has been written to a file."""

    path: str


@dataclass(frozen=True)
class Source:
    """A text to go on from, as :meth:`tui.generate.token_tree.TokenTree.pieces` gives it."""

    lead: str
    tokens: Pieces
    rest: str
    unscored: int
    """the last place whose token has no probability yet"""


def load(names: Sequence[tuple[str, str]], control: Control) -> Iterator[Event]:
    """Load the first of ``names`` that can be had; each comes with why it is tried. Raises ``NoModel`` for the last."""
    from engine.lm import find as lm

    for place, (name, why) in enumerate(names, 1):
        try:
            model = yield from lm.load(name, control)
        except lm.LoadingStopped:
            raise
        except lm.NoModel as error:
            if place == len(names):
                raise
            yield Notice(str(error), "warning", "no_model")
            continue
        starts = {model.start} & model.tokenizer.specials if model.start is not None else set()
        yield Loaded(model, {number: model.tokenizer.spelled(number) for number in model.eos | starts})
        yield Notice(
            f"the model is {model.name}: {why}" if why else f"{model.name} is loaded: {model.source}", "info", "model"
        )
        return


def first_choices(recent: Sequence[str]) -> list[tuple[str, str]]:
    """Models to begin with, in order, and why: the last used, else those that are at hand."""
    from engine.lm import find as lm

    last = [(name, "the last used model") for name in recent[:1]]
    return last + [one for one in lm.candidates(ask=False) if one[0] not in recent[:1]]


def complete(lm: LanguageModel, source: Source, sampling: Sampling, control: Control) -> Iterator[Event]:
    """Go on from the end of a text: ``Tokenized``, tokens of the prompt not scored yet, then the completion."""
    from engine.lm.generate import generate

    known, ids, score = _tokenize(lm, source, sampling.max_new_tokens)
    yield known
    yield from generate(lm, GenerateSpec("", tuple(ids), sampling, CANDIDATES, score), control)


def converse(lm: LanguageModel, conversation: Conversation, control: Control) -> Iterator[Event]:
    """Apply the model's chat template: ``Conversed``."""
    yield Conversed(conversation, needed(lm.chat, lm.name).apply(conversation))


def score(lm: LanguageModel, source: Source, sampling: Sampling, control: Control) -> Iterator[Event]:
    """Tokenize and score a text, and find what could come next."""
    known, ids, unscored = _tokenize(lm, source, 1)
    yield known
    place = known.kept + bool(known.lead) + len(known.tokens)
    yield from _probe(lm, ids, sampling, place, control, score=unscored)


def probe(lm: LanguageModel, ids: Sequence[int], sampling: Sampling, place: int, control: Control) -> Iterator[Event]:
    """Find what could follow ``ids``, the model's tokens before ``place``."""
    yield from _probe(lm, _opened(lm, ids), sampling, place, control, score=False)


def replay(lm: LanguageModel, source: Source, tokens: Sequence[Token], control: Control) -> Iterator[Event]:
    """Tokenize and score a text, then tell a completion that was made of it before."""
    known, ids, unscored = _tokenize(lm, source, 1)
    yield known
    if unscored:
        yield from (e for e in _probe(lm, ids, Sampling(), 0, control, score=True) if isinstance(e, Token))
    yield from tokens


def compare(lm: LanguageModel, comparison: Comparison, control: Control, *, templated: bool = False) -> Iterator[Event]:
    """Run every setting, then write the results as Markdown: ``ReportWritten`` says where.

    ``templated``: a chat template made the prompt, so the tokenizer puts nothing before it.
    """
    from engine.lm import sweep, sweep_record

    if templated:
        comparison = replace(comparison, ids=tuple(lm.tokenizer.encode(comparison.prompt).ids))
    results = yield from sweep.compare(lm, comparison, control)
    if results:
        try:
            path = sweep_record.save(lm, comparison, results)
        except OSError as error:
            yield Notice(f"the comparison could not be saved: {error.strerror or error}", "error", "save")
        else:
            yield ReportWritten(str(path))


def usual_prompt(lm: LanguageModel, prompts: Sequence[str] = (PROMPT, VERSE)) -> str:
    """The lab's prompt; for a model that only ever saw Italian letters, Dante's first verse; else nothing."""
    for text in prompts:
        with contextlib.suppress(NoTokenizer):
            if not lm.tokenizer.encode(text).unknown:
                return text
    return ""


def _probe(
    lm: LanguageModel, ids: Sequence[int], sampling: Sampling, place: int, control: Control, *, score: bool
) -> Iterator[Event]:
    from engine.lm.generate import generate

    spec = GenerateSpec("", tuple(ids), replace(sampling, max_new_tokens=1), CANDIDATES, score)
    for event in generate(lm, spec, control):
        if isinstance(event, Token) and not event.prompt:
            yield Probed(place, sampling, event)
        elif not isinstance(event, Completed) and not (isinstance(event, Notice) and event.kind == "context"):
            yield event


def _tokenize(lm: LanguageModel, source: Source, max_new_tokens: int) -> tuple[Tokenized, list[int], bool]:
    """The text as tokens, their ids as the engine takes them, and whether some of them are to be scored."""
    from engine.lm.generate import fit

    tokenizer = lm.tokenizer
    if tokenizer.kind == "characters" and source.rest:
        _refuse_unknown(lm, source.rest)
    kept, made = recode(source.tokens, source.rest, tokenizer)
    ids = [number for number, _ in (*source.tokens[:kept], *made)]
    if not ids:
        if lm.start is None:
            raise BadSpec([Problem("", f"{lm.name} has no token to start a text with: write a prompt first")])
        start = tokenizer.decode([lm.start]) if lm.start not in tokenizer.specials else ""
        made, ids = [(lm.start, start)], [lm.start]
    lead, most = "", 2 * lm.context
    if source.rest and len(ids) > 2 * most:  # what no completion will ever see need not be taken apart
        every = [*source.tokens[:kept], *made]
        lead = source.lead + "".join(text for _, text in every[:-most])
        kept, made, ids = 0, every[-most:], ids[-most:]
    elif source.lead:
        kept += 1
    given = _opened(lm, ids)
    base = bool(lead or source.lead) + len(ids) - len(fit(lm, given, max_new_tokens)[0])
    return Tokenized(kept, lead, tuple(made), base), given, bool(made) or source.unscored > base


def _opened(lm: LanguageModel, ids: Sequence[int]) -> list[int]:
    """``ids`` with what the tokenizer puts before any text, unless they begin with it."""
    from engine.lm.generate import initial_ids

    before = initial_ids(lm.tokenizer)
    return [*ids] if [*ids[: len(before)]] == before else [*before, *ids]


def _refuse_unknown(lm: LanguageModel, text: str) -> None:
    encoding = lm.tokenizer.encode(text)
    if encoding.unknown:
        unknown = {text[encoding.starts[place]]: None for place in sorted(encoding.unknown)}
        names = ", ".join(f"{one!r} (U+{ord(one):04X})" for one in list(unknown)[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise BadSpec([Problem("", f"not in this model's {lm.vocabulary}-character vocabulary: {names}{more}")])
