"""Completing a prompt, as a task: one decoding loop for every causal language model."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.lm.sampling import GenerateSpec, SetSampling
from engine.runs.events import Candidate, Completed, Continued, Event, Notice, Paused, Token
from engine.runs.messages import Continue, Control, Pause, Stop
from engine.runs.spec import BadSpec, Problem

if TYPE_CHECKING:
    from torch import Tensor

    from engine.lm.candidates import Place
    from engine.lm.model import LanguageModel
    from engine.tokenization.encoding import Tokenizer

PIECE = 128  # tokens of a prompt fed at once: a stop waits for no more than this
SCORED = 32  # of them when each place's distribution is looked at: bounds the memory of the logits
PRIMED = 16  # tokens of the prompt that the text of the first new ones may depend on
IDLE = 0.1  # seconds between two looks at the control while paused


def generate(lm: LanguageModel, spec: GenerateSpec, control: Control) -> Iterator[Event]:
    """Complete ``spec.prompt``: a ``Token`` for each new token, with its candidates, then ``Completed``.

    With ``score_prompt`` the prompt's own tokens come first. Between two tokens ``Stop``, ``Pause``, ``Continue`` and
    ``SetSampling`` are obeyed. What the prompt shares with the ids fed last is not computed again. A prompt longer
    than the context keeps its end and leaves room (see :func:`fit`); a completion ends where the context does, unless
    the model slides (see :func:`window`). All of it is said. Logits that are no numbers end it with the reason
    ``failed``.

    Raises :class:`engine.runs.spec.BadSpec` for settings or a prompt that cannot be, before anything is computed.
    """
    begun = time.perf_counter()
    spec.sampling.check()
    given, added = _prompt(lm, spec)
    ids, notices = fit(lm, given, spec.sampling.max_new_tokens)
    yield from notices
    left_out = len(given) - len(ids)
    yield from _Completion(lm, spec, control, ids, left_out, 0 if left_out else added, begun).run()


def score(lm: LanguageModel, ids: Sequence[int], control: Control, *, candidates: int = 10) -> Iterator[Token | Notice]:
    """A ``Token`` for each of ``ids``: its log-probability, rank, entropy and alternatives.

    The first has none of these, since nothing predicts it. The logits of ``SCORED`` places are held at once. A
    ``Stop`` ends it early. Raises :class:`BadSpec` for ids that the model does not have or has no room for.
    """
    ids = list(ids)
    _check_ids(lm, ids)
    if len(ids) > lm.context:
        raise BadSpec([Problem("prompt", f"has {len(ids):,} tokens, and the model's context is {lm.context:,}")])
    yield from _scored(lm, ids, control, candidates, 0, 0, [])


def prompt_ids(lm: LanguageModel, spec: GenerateSpec) -> list[int]:
    """The ids that a spec's prompt stands for, with what the tokenizer puts before any text (a start of text, or none).

    An empty prompt begins from the model's start of text. Raises :class:`engine.runs.spec.BadSpec`.
    """
    return _prompt(lm, spec)[0]


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


def _prompt(lm: LanguageModel, spec: GenerateSpec) -> tuple[list[int], int]:
    """The ids of a prompt, and how many of them at its beginning stand for no text of it."""
    if spec.ids is not None:
        ids, added = list(spec.ids), 0
    else:
        encoding = lm.tokenizer.encode(spec.prompt)
        if lm.tokenizer.kind == "characters" and encoding.unknown:
            place = encoding.starts[min(encoding.unknown)]
            character = spec.prompt[place]
            raise BadSpec(
                [
                    Problem(
                        "prompt",
                        f"character {character!r} (U+{ord(character):04X}) at position {place} is not in the "
                        f"vocabulary of {lm.name}",
                    )
                ]
            )
        before = initial_ids(lm.tokenizer) if encoding.ids else []
        ids, added = [*before, *encoding.ids], len(before)
    if not ids:
        if lm.start is None:
            raise BadSpec([Problem("prompt", f"is empty, and {lm.name} has no token to begin a text with: give text")])
        ids, added = [lm.start], 1
    _check_ids(lm, ids)
    return ids, added


class _Completion:
    """One run of the decoding loop."""

    def __init__(
        self,
        lm: LanguageModel,
        spec: GenerateSpec,
        control: Control,
        ids: list[int],
        left_out: int,
        silent: int,
        begun: float,
    ) -> None:
        self._lm, self._spec, self._control, self._ids, self._left_out = lm, spec, control, ids, left_out
        self._begun, self._first = begun, 0.0
        self._prompt, self._silent = len(ids), silent
        self._reused = 0
        self._sampling = spec.sampling
        self._text: list[str] = []
        self._waited = 0.0

    def run(self) -> Iterator[Event]:
        """Every event of it."""
        logits: list[Tensor] = []
        self._reused = self._lm.reuse(self._ids)
        if self._spec.score_prompt:
            self._reused = min(self._reused, len(self._lm.scored))
            count, stream = self._spec.candidates, self._spec.stream
            yield from _scored(self._lm, self._ids, self._control, count, stream, self._silent, logits)
        else:
            yield from self._prefill(logits)
        if not logits:
            yield self._completed("stop")
            return
        yield from self._decode(logits.pop())

    def _prefill(self, logits: list[Tensor]) -> Iterator[Event]:
        """Feed what is not held of the prompt; leaves the last logits unless it was stopped."""
        for start in range(self._reused, self._prompt, PIECE):
            if (yield from self._obey()):
                return
            last = self._lm.feed(self._ids[start : start + PIECE])
        logits.append(last)

    def _decode(self, logits: Tensor) -> Iterator[Event]:
        import torch

        from engine.device import threads
        from engine.lm import candidates as token_candidates
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
            if (yield from self._obey()):
                reason = "stop"
                break
            sampling, index = self._sampling, len(self._ids)
            with torch.inference_mode(), threads(1):
                u = processors.number(sampling.seed, self._left_out + index)
                chosen, row = token_candidates.choose(logits, sampling, seen[: index - begin], u, spec.candidates)
                place = token_candidates.read(row.tolist(), sampling.greedy)
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
            yield _token(lm, place, index, text, spec.stream, spec.candidates, prompt=False)
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

    def _obey(self) -> Generator[Event, None, bool]:
        """Take what the control holds; wait while paused. True for a stop."""
        paused, since = False, time.perf_counter()
        while True:
            for message in self._control.take():
                match message:
                    case Stop():
                        return True
                    case SetSampling() if not message.sampling.validate():
                        self._sampling = message.sampling
                    case Pause() if not paused:
                        paused = True
                        yield Paused(len(self._ids) - self._prompt)
                    case Continue() if paused:
                        paused = False
                        yield Continued(len(self._ids) - self._prompt)
            if not paused:
                self._waited += time.perf_counter() - since if self._first else 0.0
                return False
            self._control.wait(IDLE)

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
    lm: LanguageModel,
    ids: list[int],
    control: Control,
    candidates: int,
    stream: int,
    silent: int,
    logits: list[Tensor],
) -> Iterator[Token | Notice]:
    """Score ``ids`` from the first, of which ``silent`` stand for no text; leaves the logits that follow them.

    It leaves none when it was stopped.
    """
    import torch

    from engine.lm import candidates as token_candidates

    lm.reuse(ids)
    if lm.scored and len(lm.scored[0].options) < min(candidates, lm.vocabulary):
        lm.scored.clear()
    spelled = lm.tokenizer.stream()
    texts = ["" if place < silent else spelled.step(token) for place, token in enumerate(ids)]
    yield Token(0, ids[0], texts[0], None, None, None, None, None, True, (), stream)
    known = len(lm.scored)
    for index, place in enumerate(lm.scored, 1):
        yield _token(lm, place, index, texts[index], stream, candidates, prompt=True)
    # The place after the last known one is judged by the logits at that one, so it is fed again.
    for start in range(lm.keep(known), len(ids), SCORED):
        if any(isinstance(message, Stop) for message in control.take()):
            return
        piece = lm.feed(ids[start : start + SCORED], every=True)
        following = ids[start + 1 : start + SCORED + 1]
        with torch.inference_mode():
            target = torch.tensor(following, dtype=torch.long, device=lm.device)
            rows = token_candidates.score(piece[: len(following)], target, candidates).tolist()
        for index, row in enumerate(rows, start + 1):
            found = token_candidates.read_score(row)
            if found is None:
                yield _not_numbers(index)
                return
            if index > known:  # a model that cannot go back begins anew
                lm.scored.append(found)
                yield _token(lm, found, index, texts[index], stream, candidates, prompt=True)
    logits.append(piece[-1])


def _token(
    lm: LanguageModel, place: Place, index: int, text: str, stream: int, candidates: int, *, prompt: bool
) -> Token:
    shown = place.options[:candidates]
    if candidates and all(one.id != place.id for one in shown):
        shown += tuple(one for one in place.options[candidates:] if one.id == place.id)
    options = tuple(
        Candidate(one.id, lm.tokenizer.spelled(one.id), one.probability, one.tempered, one.final, one.cut)
        for one in shown
    )
    return Token(
        index,
        place.id,
        text,
        place.logprob,
        place.drawn_logprob,
        place.rank,
        place.entropy,
        place.kept,
        prompt,
        options,
        stream,
    )


def _slid(context: int) -> Notice:
    return Notice(
        f"the context of {context:,} tokens is full: {context - context // 2:,} to {context:,} of the text's last are "
        "seen from here on",
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
    if bad := next((token for token in ids if not 0 <= token < lm.vocabulary), None):
        raise BadSpec([Problem("prompt", f"holds the token {bad}, and {lm.name} has {lm.vocabulary:,}")])
