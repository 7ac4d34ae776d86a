"""Zero-shot ranking: a causal language model says how probable each choice is as what follows the question.

Four ways to turn the log-probabilities of a choice's tokens into a score: their sum, the mean a token, the sum over
the choice's characters, and how much the question raised the sum (pointwise mutual information, Holtzman et al., 2021).
Sum, characters and, with an empty uninformative prompt, PMI are ``acc``, ``acc_norm`` and ``acc_mutual_info`` of
lm-evaluation-harness. Its cut between question and choice is used too: the tokens of both together, without as many
as the question has by itself. :class:`Judging` scores many items; when it is stopped, what was judged stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data.choices import Item
from engine.choose import report as choose_report
from engine.choose.judged_items import ChoiceScore, JudgedItem, JudgedItems
from engine.lm.pretrained import NoModel
from engine.machine import MemoryRanOut
from engine.runs.events import Event, ItemJudged, Progress
from engine.runs.messages import Control, handle_messages
from engine.tokenization.encoding import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from engine.lm.model import LanguageModel

WAYS = ("sum", "token", "character", "pmi")
UNINFORMATIVE = "Answer:"
ALONE = 32  # tokens of a prompt beyond which its logits are not all computed


def prompt_of(item: Item) -> str:
    """What the model reads before a choice: the beginning of a sentence as it is, a question with its label."""
    if item.continued:
        return item.stem
    context = f"{item.context}\n" if item.context else ""
    return f"{context}Question: {item.question}\nAnswer:"


class Reader:
    """A loaded model that scores items; what a choice is worth alone is remembered."""

    def __init__(self, lm: LanguageModel, uninformative: str | None = None) -> None:
        from engine.lm.generate import initial_ids

        self.lm = lm
        self._before = initial_ids(lm.tokenizer)
        self._uninformative = uninformative
        self._alone: dict[tuple[str, str], float] = {}
        self.unspelled = 0
        """characters left out so far because the model does not know them"""
        self.truncated = False
        """whether the prompt of the last item was cut at its beginning"""

    def uninformative(self, item: Item) -> str:
        """The prompt that stands for no question: that of the settings, else one of the item's own kind."""
        if self._uninformative is not None:
            return self._uninformative
        return "" if item.continued else UNINFORMATIVE

    def score(self, item: Item) -> tuple[ChoiceScore, ...]:
        """Every choice of an item; the question is computed once.

        Raises :class:`ValueError` for a choice that has no room in the context, a token without an embedding, and an
        empty prompt where the model has no first token; :class:`engine.lm.pretrained.NoModel` where its logits are NaN
        or memory runs out.
        """
        try:
            return self._score(item)
        except MemoryRanOut as error:
            raise NoModel(str(error)) from None

    def _score(self, item: Item) -> tuple[ChoiceScore, ...]:
        prompt, bare = prompt_of(item), self.uninformative(item)
        context, choices = self._pairs(prompt, item.choices)
        truncated = self.truncated
        found = logprobs(self.lm, context, choices)
        missing = [choice for choice in dict.fromkeys(item.choices) if (bare, choice) not in self._alone]
        if missing:
            start, alone = self._pairs(bare, missing)
            for choice, each in zip(missing, logprobs(self.lm, start, alone), strict=True):
                self._alone[bare, choice] = _total(each)
        scores = []
        for choice, ids, each in zip(item.choices, choices, found, strict=True):
            total, alone_total = _total(each), self._alone[bare, choice]
            strip = tuple((self.lm.tokenizer.spelled(token), value) for token, value in zip(ids, each, strict=True))
            scores.append(
                ChoiceScore(
                    strip,
                    total,
                    total / max(1, len(each)),
                    total / len(choice),
                    total - alone_total if each else total,
                    alone_total,
                )
            )
        self.truncated = truncated  # of the question's prompt, not of the uninformative one
        return tuple(scores)

    def _pairs(self, prompt: str, choices: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Ids of the prompt and of each choice after it, the prompt cut at its beginning to what has room.

        It begins with what the tokenizer puts before any text, as in Generate. Nothing for a choice of which the model
        knows no character, whatever space is before it. Raises :class:`ValueError` as :meth:`score` does.
        """
        cut = len(prompt) - len(prompt.rstrip())
        prompt, space = prompt.rstrip(), prompt[len(prompt) - cut :] or " "
        context, lost = self._ids(prompt)
        self.unspelled += lost
        spelled = []
        for choice in choices:
            ids, unknown = self._ids(f"{prompt}{space}{choice}")
            self.unspelled += unknown - lost
            known = ids[len(context) :]
            spelled.append(known if any(self.lm.tokenizer.spelled(token).strip() for token in known) else [])
        if not context:
            if self.lm.start is None:
                raise ValueError(f"{self.lm.name} has no token to begin a text with: give an uninformative prompt")
            context = [self.lm.start]
        else:
            context = [*self._before, *context]
        room = self.lm.context + 1 - max(map(len, spelled))
        if room < 1:
            raise ValueError(f"a choice is longer than the {self.lm.context:,} tokens of {self.lm.name}'s context")
        self.truncated = len(context) > room
        return context[-room:], spelled

    def _ids(self, text: str) -> tuple[list[int], int]:
        """The known tokens of a text, and the number of unknown or lost characters."""
        encoding = self.lm.tokenizer.encode(text)
        known = [token for token in encoding.ids if token != UNKNOWN]
        self.lm.check(known)
        return known, len(encoding) - len(known) + len(encoding.lost)


def logprobs(lm: LanguageModel, context: Sequence[int], choices: Sequence[Sequence[int]]) -> list[list[float]]:
    """The log-probability of each token of each choice after ``context``, which may not be empty.

    Choices are walked in the order of their ids, so that the context and what several begin with are fed once.
    """
    import torch

    for choice in choices:
        lm.check(choice)  # also its last token, which is not fed
    first = len(context) - 1
    rows: list[Tensor] = []  # log-probabilities of the token after position first, first + 1, …
    found: dict[tuple[int, ...], list[float]] = {(): []}
    for choice in sorted({tuple(ids) for ids in choices} - {()}):
        ids = [*context, *choice[:-1]]  # after the last token nothing is asked
        kept = lm.keep(min(lm.reuse(ids), first + len(rows)))
        del rows[max(0, kept - first) :]
        if first - kept > ALONE:
            lm.feed(ids[kept:first])
            kept = first
        logits = lm.feed(ids[kept:], every=True)[max(0, first - kept) :]
        with torch.inference_mode():
            rows += logits.log_softmax(-1).unbind()
            targets = torch.tensor(choice, device=logits.device)
            places = torch.stack(rows)
            picked = places.gather(1, targets[:, None])[:, 0]
        if bool(places.isnan().any()):  # also where a logit is infinite
            raise NoModel(f"the logits of {lm.name} are not finite (NaN or infinite): its weights are damaged")
        found[choice] = picked.tolist()
    return [found[tuple(ids)] for ids in choices]


def _total(each: Sequence[float]) -> float:
    return sum(each) if each else float("-inf")


METHOD = "zero-shot"
LEADING = "character"
"""the way of counting that ranks: the harness's acc_norm"""


class Judging:
    """Items on their way through a language model."""

    def __init__(self, reader: Reader, items: Sequence[Item], saved: JudgedItems | None = None) -> None:
        self.reader, self.items, self._saved = reader, items, saved
        self.done: list[tuple[ChoiceScore, ...]] = []
        self.truncated = 0
        """prompts that were cut to the model's context"""
        self.unscored: Counter[str] = Counter()
        """why items could not be scored, and how many"""

    def run(self, control: Control) -> Iterator[Event]:
        """Score every item. Raises :class:`engine.runs.messages.Stopped`, with what was judged in ``done``.

        Those that an earlier start has saved are taken over where the model scores the first of them alike.
        """
        saved = self._saved
        if saved is not None and saved.found and not self._judge(self.items[0]).agrees(saved.found[0]):
            saved.forget()
        earlier = saved.found[: len(self.items)] if saved is not None else []
        for place, item in enumerate(self.items):
            if place < len(earlier):
                judged = earlier[place]
            else:
                yield from handle_messages(control, place)
                judged = self._judge(item)
                if saved is not None:
                    saved.add(judged)
            self.done.append(found := judged.choices)
            self.truncated += judged.truncated
            self.unscored.update([judged.reason] if judged.reason else [])
            row = tuple(one.way(LEADING) for one in found)
            strips = tuple(one.strip for one in found)
            yield ItemJudged(METHOD, place, place + 1, len(self.items), -1, row, 0.0, 0.0, 1.0, ways(found), strips)

    def _judge(self, item: Item) -> JudgedItem:
        try:
            found = self.reader.score(item)
        except ValueError as error:
            return JudgedItem(tuple(ChoiceScore((), *[float("-inf")] * 5) for _ in item.choices), reason=str(error))
        known = all(one.strip for one in found)
        reason = "" if known else f"a choice has no character that {self.reader.lm.name} knows"
        return JudgedItem(found, self.reader.truncated, reason)

    def scores(self, way: str) -> NDArray[np.float64]:
        """Scores of what was judged, by one way, ``(items, choices)``."""
        return choose_report.matrix([[one.way(way) for one in found] for found in self.done])

    def alone(self) -> NDArray[np.float64]:
        """Scores of what was judged by the choices alone, without the question ``(items, choices)``."""
        return choose_report.matrix(
            [
                [one.alone / len(choice) for one, choice in zip(found, item.choices, strict=True)]
                for found, item in zip(self.done, self.items, strict=False)
            ]
        )

    def reordered(
        self, control: Control, seed: int, most: int
    ) -> Generator[Event, None, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """The first ``most`` items again with their choices in another order: the orders, and the scores in them."""
        items = self.items[: min(most, len(self.done))]
        order, rows = choose_report.orders(items, seed), []
        for place, item in enumerate(items):
            yield from handle_messages(control, place)
            taken = [int(old) for old in order[place, : len(item.choices)]]
            moved = replace(item, choices=tuple(item.choices[old] for old in taken))
            done = self.done[place]
            found = self.reader.score(moved) if all(one.strip for one in done) else done
            rows.append([one.way(LEADING) for one in found])
            yield Progress(f"{METHOD}: choices in another order", place + 1, len(items))
        return order, choose_report.matrix(rows)


def ways(found: Sequence[ChoiceScore]) -> dict[str, Any]:
    """Way to scores of the choices."""
    return {way: tuple(one.way(way) for one in found) for way in WAYS}
