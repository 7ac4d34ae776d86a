"""Completing a prompt, as a task: one decoding loop for every causal language model."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.lm.sampling import GenerateSpec, SetSampling
from engine.machine import MemoryRanOut
from engine.runs.events import Completed, Event, Notice, Token
from engine.runs.messages import Control, Message, Stop, Stopped, handle_messages
from engine.runs.spec import BadSpec, Problem

if TYPE_CHECKING:
    from torch import Tensor

    from engine.lm.model import LanguageModel
    from engine.tokenization.encoding import Tokenizer

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
    yield from _Completion(lm, spec, control).run()


def score(lm: LanguageModel, ids: Sequence[int], control: Control, *, candidates: int = 10) -> Iterator[Token | Notice]:
    """A ``Token`` for each of ``ids``: its log-probability, rank, entropy and alternatives.

    The first has none of these, since nothing predicts it. The logits of ``SCORED`` places are held at once. A
    ``Stop`` ends it early, and so do logits that are no numbers and memory that runs out. Raises :class:`BadSpec` for
    ids that the model does not have or has no room for.
    """
    ids = list(ids)
    _check_ids(lm, ids)
    if len(ids) > lm.context:
        raise BadSpec([Problem("prompt", f"has {len(ids):,} tokens, and the model's context is {lm.context:,}")])
    try:
        yield from _scored(lm, ids, control, candidates)
    except MemoryRanOut as error:
        yield Notice(str(error), "error", "memory")


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
    _check_ids(lm, ids)
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


class _Completion:
    """One run of the decoding loop."""

    def __init__(self, lm: LanguageModel, spec: GenerateSpec, control: Control) -> None:
        self._begun, self._first = time.perf_counter(), 0.0
        spec.sampling.check()
        given, added, notices = encoded(lm, spec)
        self._lm, self._spec, self._control, self._sampling = lm, spec, control, spec.sampling
        self._ids, cut = fit(lm, given, spec.sampling.max_new_tokens)
        self._notices = [*notices, *cut]
        self._prompt = len(self._ids)
        self._left_out = len(given) - self._prompt
        self._silent = 0 if self._left_out else added
        self._reused = 0
        self._text: list[str] = []
        self._waited = 0.0

    def run(self) -> Iterator[Event]:
        """Every event of it."""
        yield from self._notices
        try:
            yield from self._complete()
        except MemoryRanOut as error:
            yield Notice(str(error), "error", "memory")
            yield self._completed("failed")

    def _complete(self) -> Iterator[Event]:
        lm, spec = self._lm, self._spec
        self._reused = lm.reuse(self._ids)
        if spec.score_prompt:
            self._reused = min(self._reused, len(lm.scored))
            logits = yield from _scored(lm, self._ids, self._control, spec.candidates, spec.stream, self._silent)
        else:
            logits = yield from self._prefill()
        if logits is None:
            yield self._completed("stop")
        else:
            yield from self._decode(logits)

    def _prefill(self) -> Generator[Event, None, Tensor | None]:
        """Feed what is not held of the prompt, and return the last logits unless it was stopped."""
        for start in range(self._reused, self._prompt, PIECE):
            try:
                yield from self._obey()
            except Stopped:
                return None
            last = self._lm.feed(self._ids[start : start + PIECE])
        return last

    def _decode(self, logits: Tensor) -> Iterator[Event]:
        import torch

        from engine.device import threads
        from engine.lm import processors

        lm, spec = self._lm, self._spec
        stream = lm.tokenizer.stream()
        for token in self._ids[-PRIMED:]:
            stream.step(token)
        seen = torch.zeros(lm.context, dtype=torch.long, device=lm.device)
        seen[: self._prompt] = torch.tensor(self._ids, device=lm.device)
        begin = 0  # of what the model sees, in ``self._ids``
        reason = ""
        while not reason:
            try:
                yield from self._obey()
            except Stopped:
                reason = "stop"
                break
            sampling, index = self._sampling, len(self._ids)
            with torch.inference_mode(), threads(1):
                u = processors.number(sampling.seed, self._left_out + index)
                chosen, row = processors.choose(logits, sampling, seen[: index - begin], u, spec.candidates)
                place = processors.read(row.tolist(), sampling.greedy)
            if place is None:
                yield _not_numbers(index)
                reason = "failed"
                break
            ended = place.id in lm.eos
            text = "" if ended else stream.step(place.id)
            self._ids.append(place.id)
            self._text.append(text)
            if not self._first:
                self._first = time.perf_counter()
            yield _told(lm, place, index, text, spec.stream, spec.candidates)
            if ended:
                reason = "eos"
            elif len(self._ids) - self._prompt >= self._sampling.max_new_tokens:
                reason = "length"
            elif not lm.slides and len(self._ids) >= lm.context:
                if self._spec.sampling.max_new_tokens <= lm.context - self._prompt:  # else it was said at the start
                    yield Notice(f"the context of {lm.context:,} tokens is full", "warning", "context")
                reason = "length"
            elif lm.slides and (moved := window(self._left_out + index + 1, lm.context) - self._left_out) > begin:
                if not begin and not self._left_out:
                    yield _slid(lm.context)
                begin, ids = moved, self._ids[moved:]
                logits = lm.feed(ids[lm.reuse(ids) :])
                seen[: len(ids)] = torch.tensor(ids, device=lm.device)
            else:
                with torch.inference_mode():
                    seen[index - begin] = chosen[0]
                logits = lm.feed([place.id], there=chosen)
        if self._text:  # else what is incomplete is the prompt's
            self._text.append(stream.flush())
        yield self._completed(reason)

    def _obey(self) -> Iterator[Event]:
        """Take what the control holds; wait while paused. Raises :class:`engine.runs.messages.Stopped`."""
        since = time.perf_counter()
        yield from handle_messages(self._control, len(self._ids) - self._prompt, self._change_sampling)
        self._waited += time.perf_counter() - since if self._first else 0.0

    def _change_sampling(self, message: Message) -> None:
        if isinstance(message, SetSampling) and not message.sampling.validate():
            self._sampling = message.sampling

    def _completed(self, reason: str) -> Completed:
        now = time.perf_counter()
        made = len(self._ids) - self._prompt
        first = self._first or now
        decoding = now - first - self._waited
        return Completed(
            reason=reason,
            text="".join(self._text),
            prompt_tokens=self._prompt,
            tokens=made,
            reused=self._reused,
            first_token_seconds=first - self._begun,
            tokens_per_second=(made - 1) / decoding if made > 1 and decoding > 0 else 0.0,
            seconds=now - self._begun,
            stream=self._spec.stream,
        )


def _scored(
    lm: LanguageModel, ids: list[int], control: Control, candidates: int, stream: int = 0, silent: int = 0
) -> Generator[Token | Notice, None, Tensor | None]:
    """Score ``ids`` from the first, of which ``silent`` stand for no text; return the logits that follow them.

    None when it was stopped, or the logits are no numbers.
    """
    import torch

    from engine.lm import processors

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


def _check_ids(lm: LanguageModel, ids: list[int]) -> None:
    try:
        lm.check(ids)
    except ValueError as error:
        raise BadSpec([Problem("prompt", str(error))]) from None
