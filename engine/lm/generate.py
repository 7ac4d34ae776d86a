"""Completing a prompt, as a task: one decoding loop for every causal language model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.device import release, threads
from engine.lm import processors
from engine.lm.batch import Batch
from engine.lm.model import LanguageModel
from engine.lm.sampling import GenerateSpec, SetSampling
from engine.machine import MemoryRanOut
from engine.runs.events import Completed, Event, Notice, Token
from engine.runs.messages import Control, Message, Stop, Stopped, handle_messages
from engine.runs.spec import BadSpec, Problem
from engine.tokenization.encoding import Tokenizer

TOGETHER = 32  # completions computed at once: a stop waits for one step of them
PIECE = 128  # tokens of a prompt fed at once: a stop waits for no more than this
SCORED = 32  # of them when each place's distribution is looked at: bounds the memory of the logits
PRIMED = 16  # tokens of the prompt that the text of the first new ones may depend on


def generate(lm: LanguageModel, spec: GenerateSpec, control: Control) -> Iterator[Event]:
    """Complete ``spec.prompt``: a ``Token`` for each new token, with its candidates, then ``Completed``.

    With ``score_prompt`` the prompt's own tokens come first. Between two tokens ``Stop``, ``Pause``, ``Continue`` and
    ``SetSampling`` are obeyed. What the prompt shares with the ids fed last is not computed again. A prompt longer
    than the context keeps its end and leaves room (see :func:`fit`); a completion ends where the context does, unless
    the model slides (see :func:`window`). All of it is said. Logits that are no numbers, and memory that runs out, end
    it with the reason ``failed``.

    Raises :class:`engine.runs.spec.BadSpec` for settings or a prompt that cannot be, before anything is computed.
    """
    yield from generate_together(lm, [spec], control, adjustable=True)


def generate_together(
    lm: LanguageModel, specs: Sequence[GenerateSpec], control: Control, *, adjustable: bool = False
) -> Iterator[Event]:
    """Complete one prompt under several settings, as :func:`generate` does for each, told apart by their ``stream``.

    The prompt is fed once, and every step computes all that go on, so their events come in turn. A token is drawn with
    the number that it would be drawn with alone. At most ``TOGETHER`` are computed at once, and where memory runs out,
    halves go on one after the other. A stop ends all of them. ``SetSampling`` is obeyed by all if they are
    ``adjustable``, else by none. Raises as :func:`generate`.
    """
    for spec in specs:
        spec.sampling.check()
    ids, added, notices = encoded(lm, specs[0])
    yield from notices
    # What is cut of a prompt that fills the context depends on the tokens that are to follow.
    for _, alike in itertools.groupby(specs, lambda spec: len(fit(lm, ids, spec.sampling.max_new_tokens)[0])):
        if not (yield from _Completions(lm, list(alike), control, ids, added, adjustable).run()):
            return


def encoded(lm: LanguageModel, spec: GenerateSpec) -> tuple[list[int], int, list[Notice]]:
    """The ids of a prompt, how many of them at its beginning stand for no text of it, and what to say about it.

    What the tokenizer puts before any text (a start of text, or none) is among them; an empty prompt begins from the
    model's start of text. Raises :class:`engine.runs.spec.BadSpec`.
    """
    notices: list[Notice] = []
    if spec.ids is not None:
        ids, added = list(spec.ids), 0
    else:
        encoding = lm.tokenizer.encode(spec.prompt)
        if lm.tokenizer.kind == "characters" and encoding.unknown:
            place = encoding.starts[min(encoding.unknown)]
            character = spec.prompt[place]
            named = f"character {character!r} (U+{ord(character):04X}) at position {place}"
            raise BadSpec([Problem("prompt", f"{named} is not in the vocabulary of {lm.name}")])
        before = initial_ids(lm.tokenizer) if encoding.ids else []
        ids, added = [*before, *encoding.ids], len(before)
        if encoding.lost:
            notices.append(_lost(lm.name, spec.prompt, encoding.lost))
    if not ids:
        if lm.start is None:
            raise BadSpec([Problem("prompt", f"is empty, and {lm.name} has no token to begin a text with: give text")])
        ids, added = [lm.start], 1
    try:
        lm.check(ids)
    except ValueError as error:
        raise BadSpec([Problem("prompt", str(error))]) from None
    return ids, added, notices


def _lost(model: str, text: str, places: Sequence[int]) -> Notice:
    """A notice of the characters at these places of a text, which no token stands for."""
    some = list(dict.fromkeys(text[place] for place in places))
    shown = ", ".join(map(repr, some[:5])) + (", …" if len(some) > 5 else "")
    count = f"{len(places):,} character{'s' * (len(places) != 1)}"
    said = f"{count} of the prompt {'are' if len(places) != 1 else 'is'} in no token of {model} and left out: {shown}"
    return Notice(said, "warning", "vocabulary")


def initial_ids(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before any text: Llama's start of text, say, or nothing."""
    encoding = tokenizer.encode("a", special=True)
    placed = enumerate(encoding.ends)
    text = next((place for place, end in placed if end or place not in encoding.special), len(encoding))
    return encoding.ids[:text]


def fit(lm: LanguageModel, ids: list[int], max_new_tokens: int) -> tuple[list[int], list[Notice]]:
    """The end of ``ids`` that ``lm`` can go on from, and what to say about it.

    A prompt that fills the context is cut at its beginning, so that ``max_new_tokens`` or a quarter of the context,
    whichever is less, can follow; for a model that slides, where its :func:`window` begins.
    """
    context = lm.context
    if lm.slides:
        begin = window(len(ids), context)
        return ids[begin:], [_slid(context)] if begin else []
    if len(ids) < context:
        room = context - len(ids)
        if max_new_tokens <= room:
            return ids, []
        text = f"the context of {context:,} tokens leaves room for {room:,} after the prompt's {len(ids):,}"
        return ids, [Notice(text, "warning", "context")]
    kept = context - max(1, min(max_new_tokens, context // 4))
    left_out = len(ids) - kept
    text = f"the prompt's {len(ids):,} tokens are more than the context of {context:,} holds with a completion: "
    return ids[-kept:], [Notice(f"{text}the first {left_out:,} are left out", "warning", "context")]


def window(length: int, context: int) -> int:
    """Where what a sliding model sees begins, for the token after ``length`` tokens.

    Learned positions cannot slide one by one: when the context is full, its last half is fed again at the beginning.
    Where it begins depends on the length alone, so a completion that was stopped and continued sees what one sees that
    was not.
    """
    half = max(1, context // 2)
    return max(0, -(-(length - context) // half)) * half


class _Row:
    """One of the completions that are made together."""

    def __init__(self, lm: LanguageModel, spec: GenerateSpec, prompt: list[int]) -> None:
        self.spec, self.sampling, self.ids = spec, spec.sampling, [*prompt]
        self.text: list[str] = []
        self.spelled = lm.tokenizer.stream()
        for token in prompt[-PRIMED:]:
            self.spelled.step(token)
        self.first = 0.0
        """when its first token was there"""
        self.reason = ""
        """why it ended; empty while it goes on"""


class _Completions:
    """One run of the decoding loop, for completions that differ in settings and stream alone.

    Those that are computed together have the same length at every step; one that ends leaves the others.
    """

    def __init__(
        self,
        lm: LanguageModel,
        specs: list[GenerateSpec],
        control: Control,
        ids: list[int],
        added: int,
        adjustable: bool,
    ) -> None:
        self._begun = time.perf_counter()
        self._lm, self._control, self._adjustable = lm, control, adjustable
        cuts = [fit(lm, ids, spec.sampling.max_new_tokens) for spec in specs]
        prompt = cuts[0][0]
        self._notices = [notice for _, notices in cuts for notice in notices]
        self._prompt, self._left_out = len(prompt), len(ids) - len(prompt)
        self._silent = 0 if self._left_out else added
        self._rows = [_Row(lm, spec, prompt) for spec in specs]
        self._reused: int | None = None
        self._waited = 0.0

    def run(self) -> Generator[Event, None, bool]:
        """Every event of it. Returns whether none was stopped or failed."""
        yield from dict.fromkeys(self._notices)
        together = TOGETHER if self._lm.branches else 1
        waiting = [self._rows[start : start + together] for start in range(0, len(self._rows), together)]
        while waiting:
            rows = waiting.pop(0)
            try:
                yield from self._decode(rows)
                continue
            except Stopped:
                for row in self._rows:
                    if not row.reason and (row in rows or row.first):
                        yield self._ended(row, "stop")
                return False
            except MemoryRanOut as error:
                told = str(error)
            release(self._lm.device)
            going = [row for row in rows if not row.reason]
            if half := len(going) // 2:
                text = f"out of memory: {len(going) - half} of {len(going)} completions at a time"
                yield Notice(text, "warning", "memory")
                waiting[:0] = [going[:-half], going[-half:]]
            else:
                yield Notice(told, "error", "memory")
                yield self._ended(going[0], "failed")
                return False
        return all(row.reason != "failed" for row in self._rows)

    def _decode(self, rows: list[_Row]) -> Iterator[Event]:
        """Bring rows of one length to their end. Raises :class:`Stopped` and :class:`MemoryRanOut`."""
        lm = self._lm
        batch, logits = yield from self._start(rows)
        seen, begin = self._seen(rows), self._begin(rows)
        while True:
            yield from self._obey(rows)
            index = len(rows[0].ids) - begin
            chosen = yield from self._draw(rows, logits, seen[:, :index])
            going = [place for place, row in enumerate(rows) if not row.reason]
            if not going:
                return
            with torch.inference_mode():
                if len(going) < len(rows):
                    rows, chosen, seen = [rows[place] for place in going], chosen[going], seen[going]
                    if batch is not None:
                        batch.keep(going)
                if (moved := self._begin(rows)) == begin:
                    seen[:, index] = chosen[:, 0]
            if moved > begin:
                if not begin and not self._left_out:
                    yield _slid(lm.context)
                seen, begin = self._seen(rows), moved
                batch, logits = yield from self._start(rows, batch)
            elif batch is None and len(rows) == 1:
                logits = lm.feed(rows[0].ids[-1:], there=chosen[0])[None]
            else:
                batch = batch or lm.branch(len(rows), self._room(rows))
                logits = lm.feed_batch(batch, chosen)

    def _start(
        self, rows: list[_Row], batch: Batch | None = None
    ) -> Generator[Event, None, tuple[Batch | None, Tensor]]:
        """Feed what the model sees of ``rows``, as far as it is not held; also the logits ``(rows, vocabulary)`` of it.

        Once where the rows are the same; in a batch, a new one unless there is one, what each drew by itself.
        """
        lm, begin = self._lm, self._begin(rows)
        ids = rows[0].ids[begin:]
        if batch is None:
            parted = len(rows) > 1 and len(rows[0].ids) > self._prompt
            shared = ids[: max(0, self._prompt - begin)] if parted else ids
            logits = yield from self._prefill(rows, shared)
            if not parted:
                return None, logits.expand(len(rows), -1)
            batch = lm.branch(len(rows), self._room(rows))
        else:
            shared = []
            batch.restart()
        own = torch.tensor([row.ids[begin + len(shared) :] for row in rows], device=lm.device)
        return batch, lm.feed_batch(batch, own)

    def _prefill(self, rows: list[_Row], ids: list[int]) -> Generator[Event, None, Tensor]:
        """Feed ``ids`` as far as they are not held, and return the last logits."""
        lm, first, logits = self._lm, self._reused is None, torch.empty(0)
        reused = lm.reuse(ids) if ids else lm.keep(0)
        self._reused = reused if first else self._reused
        if first and rows[0].spec.score_prompt:
            self._reused = min(reused, len(lm.scored))
            for spec in [row.spec for row in rows]:
                scored = yield from _scored(lm, ids, self._control, spec.candidates, spec.stream, self._silent)
                if scored is None:
                    raise Stopped
                logits = scored
            return logits
        for start in range(reused, len(ids), PIECE):
            yield from self._obey(rows)
            logits = lm.feed(ids[start : start + PIECE])
        return logits

    def _draw(self, rows: list[_Row], logits: Tensor, seen: Tensor) -> Generator[Event, None, Tensor]:
        """Choose the next token of each row ``(rows, 1)`` and tell it; says of those that end why."""
        lm, index = self._lm, len(rows[0].ids)
        with torch.inference_mode(), threads(1):
            drawn = []
            for row, given, ids in zip(rows, logits, seen, strict=True):
                u = processors.number(row.sampling.seed, self._left_out + index)
                drawn.append(processors.choose(given, row.sampling, ids, u, row.spec.candidates))
            told = iter(torch.cat([numbers for _, numbers in drawn]).tolist())
            chosen = torch.stack([one for one, _ in drawn])
        notices: dict[Notice, None] = {}
        for row, (_, numbers) in zip(rows, drawn, strict=True):
            place = processors.read(list(itertools.islice(told, len(numbers))), row.sampling.greedy)
            if place is None:
                notices[_not_numbers(index)] = None
                row.reason = "failed"
                continue
            ended = place.id in lm.eos
            text = "" if ended else row.spelled.step(place.id)
            row.ids.append(place.id)
            row.text.append(text)
            row.first = row.first or time.perf_counter()
            yield _told(lm, place, index, text, row.spec.stream, row.spec.candidates)
            if ended:
                row.reason = "eos"
            elif len(row.ids) - self._prompt >= row.sampling.max_new_tokens:
                row.reason = "length"
            elif not lm.slides and len(row.ids) >= lm.context:
                if row.spec.sampling.max_new_tokens <= lm.context - self._prompt:  # else it was said at the start
                    notices[Notice(f"the context of {lm.context:,} tokens is full", "warning", "context")] = None
                row.reason = "length"
        yield from notices
        for row in rows:
            if row.reason:
                yield self._ended(row, row.reason)
        return chosen

    def _begin(self, rows: list[_Row]) -> int:
        """Where what the model sees of rows begins, in their ids."""
        lm = self._lm
        return max(0, window(self._left_out + len(rows[0].ids), lm.context) - self._left_out) if lm.slides else 0

    def _seen(self, rows: list[_Row]) -> Tensor:
        """What the model sees of each, where it computes, with space for what it will ``(rows, context)``."""
        lm, begin = self._lm, self._begin(rows)
        ids = torch.tensor([row.ids[begin:] for row in rows], device=lm.device)
        return torch.nn.functional.pad(ids, (0, lm.context - ids.shape[1]))

    def _room(self, rows: list[_Row]) -> int:
        """Tokens that the longest of rows can hold."""
        most = self._prompt + max(row.sampling.max_new_tokens for row in rows)
        return self._lm.context if self._lm.slides else min(self._lm.context, most)

    def _obey(self, rows: list[_Row]) -> Iterator[Event]:
        """Take what the control holds; wait while paused. Raises :class:`engine.runs.messages.Stopped`."""
        since = time.perf_counter()
        yield from handle_messages(self._control, len(rows[0].ids) - self._prompt, self._change_sampling)
        self._waited += time.perf_counter() - since if rows[0].first else 0.0

    def _change_sampling(self, message: Message) -> None:
        if self._adjustable and isinstance(message, SetSampling) and not message.sampling.validate():
            for row in self._rows:
                row.sampling = message.sampling

    def _ended(self, row: _Row, reason: str) -> Completed:
        row.reason = reason
        if row.text:  # else what is incomplete is the prompt's
            row.text.append(row.spelled.flush())
        now = time.perf_counter()
        made = len(row.ids) - self._prompt
        first = row.first or now
        decoding = now - first - self._waited
        return Completed(
            reason=reason,
            text="".join(row.text),
            prompt_tokens=self._prompt,
            tokens=made,
            reused=self._reused or 0,
            first_token_seconds=first - self._begun,
            tokens_per_second=(made - 1) / decoding if made > 1 and decoding > 0 else 0.0,
            seconds=now - self._begun,
            stream=row.spec.stream,
        )


def _scored(
    lm: LanguageModel, ids: list[int], control: Control, candidates: int, stream: int, silent: int
) -> Generator[Token | Notice, None, Tensor | None]:
    """Score ``ids`` from the first, of which ``silent`` stand for no text; return the logits that follow them.

    None when it was stopped, or the logits are no numbers.
    """
    lm.reuse(ids)
    if lm.scored and len(lm.scored[0].candidates) < min(candidates, lm.vocabulary):
        lm.scored.clear()
    spelled = lm.tokenizer.stream()
    texts = ["" if place < silent else spelled.step(token) for place, token in enumerate(ids)]
    yield Token(0, ids[0], texts[0], None, None, None, None, None, True, (), stream)
    known = len(lm.scored)
    for index, place in enumerate(lm.scored, 1):
        yield _told(lm, place, index, texts[index], stream, candidates)
    # The place after the last known one is judged by the logits at that one, so it is fed again.
    for start in range(lm.keep(known), len(ids), SCORED):
        if any(isinstance(message, Stop) for message in control.take()):
            return None
        piece = lm.feed(ids[start : start + SCORED], every=True)
        following = ids[start + 1 : start + SCORED + 1]
        with torch.inference_mode():
            target = torch.tensor(following, dtype=torch.long, device=lm.device)
            rows = processors.score(piece[: len(following)], target, candidates).tolist()
        for index, row in enumerate(rows, start + 1):
            found = processors.read_score(row)
            if found is None:
                yield _not_numbers(index)
                return None
            if index > known:  # a model that cannot go back begins anew
                lm.scored.append(found)
                yield _told(lm, found, index, texts[index], stream, candidates)
    return piece[-1]


def _told(lm: LanguageModel, token: Token, index: int, text: str, stream: int, count: int) -> Token:
    """``token`` at its place, with its text and the ``count`` most probable candidates, itself among them if any."""
    shown = token.candidates[:count]
    if count and all(one.id != token.id for one in shown):
        shown += tuple(one for one in token.candidates[count:] if one.id == token.id)
    spelled = tuple(replace(one, text=lm.tokenizer.spelled(one.id)) for one in shown)
    return replace(token, index=index, text=text, candidates=spelled, stream=stream)


def _slid(context: int) -> Notice:
    return Notice(
        f"the context of {context:,} tokens is full: the model now sees only the last {context - context // 2:,}–"
        f"{context:,} tokens",
        "info",
        "context",
    )


def _not_numbers(index: int) -> Notice:
    return Notice(
        f"the model's logits for token {index} are no numbers (NaN or infinite): its weights are damaged, or its "
        "precision is too low",
        "error",
        "nonfinite",
    )
