"""How probable a causal language model finds each choice of an item as what follows its question.

Four ways to turn the log-probabilities of a choice's tokens into a score: their sum, the mean a token, the sum over
the choice's characters, and how much the question raised the sum (pointwise mutual information, Holtzman et al., 2021).
Sum, characters and, with an empty uninformative prompt, PMI are ``acc``, ``acc_norm`` and ``acc_mutual_info`` of
lm-evaluation-harness. Its cut between question and choice is used too: the tokens of both together, without as many
as the question has by itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from data.choices import Item
from engine.choose.judged_items import ChoiceScore
from engine.lm.model_files import NoModel
from engine.machine import MemoryRanOut
from engine.tokenization.encoding import UNKNOWN

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

WAYS = ("sum", "token", "character", "pmi")
LEADING = "character"
"""the way that ranks: the harness's acc_norm"""
UNINFORMATIVE = "Answer:"


def prompt_of(item: Item) -> str:
    """What the model reads before a choice: the beginning of a sentence as it is, a question with its label."""
    if item.continued:
        return item.stem
    context = f"{item.context}\n" if item.context else ""
    return f"{context}Question: {item.question}\nAnswer:"


@dataclass(frozen=True)
class Question:
    """What is computed for an item: each choice in tokens after its question, and after the uninformative prompt."""

    item: Item
    context: list[int]
    choices: list[list[int]]
    bare: list[int]
    alone: list[list[int]]
    truncated: bool
    """whether the prompt was cut at its beginning"""

    @property
    def tokens(self) -> int:
        """Those that have to be fed at most."""
        every = (*self.choices, *self.alone)
        return len(self.context) + len(self.bare) + sum(max(0, len(ids) - 1) for ids in every)


class Reader:
    """A loaded model that scores items; what a choice is worth alone is remembered."""

    def __init__(self, lm: LanguageModel, uninformative: str | None = None) -> None:
        from engine.lm.generate import initial_ids

        self.lm = lm
        self._before = initial_ids(lm.tokenizer)
        self._uninformative = uninformative
        self._alone: dict[Asked, float] = {}
        self.unspelled = 0
        """characters left out so far because the model does not know them"""

    def uninformative(self, item: Item) -> str:
        """The prompt that stands for no question: that of the settings, else one of the item's own kind."""
        if self._uninformative is not None:
            return self._uninformative
        return "" if item.continued else UNINFORMATIVE

    def question(self, item: Item) -> Question:
        """An item in tokens.

        Raises :class:`ValueError` for a choice that has no room in the context, a token without an embedding, and an
        empty prompt where the model has no first token.
        """
        context, choices, truncated = self._encoded(prompt_of(item), item.choices)
        bare, alone, _ = self._encoded(self.uninformative(item), item.choices)
        return Question(item, context, choices, bare, alone, truncated)

    def score(self, item: Item) -> tuple[ChoiceScore, ...]:
        """Every choice of one item; raises as :meth:`question` and :meth:`scores`."""
        return self.scores([self.question(item)])[0]

    def scores(self, questions: Sequence[Question]) -> list[tuple[ChoiceScore, ...]]:
        """Every choice of every item, computed together: what texts begin with, each question above all, once.

        Raises :class:`engine.lm.model_files.NoModel` where the model's logits are NaN or memory runs out.
        """
        asked = [one for each in questions for one in _asked(each.context, each.choices)]
        alone = [one for each in questions for one in _asked(each.bare, each.alone)]
        missing = [one for one in dict.fromkeys(alone) if one not in self._alone]
        try:
            found = logprobs(self.lm, [*asked, *missing])
        except MemoryRanOut as error:
            if half := len(questions) // 2:
                return [*self.scores(questions[:half]), *self.scores(questions[half:])]
            raise NoModel(str(error)) from None
        self._alone.update(zip(missing, map(_total, found[len(asked) :]), strict=True))
        values, totals = iter(found), iter(self._alone[one] for one in alone)
        spelled = self.lm.tokenizer.spelled
        scores = []
        for question in questions:
            row = []
            for choice, ids in zip(question.item.choices, question.choices, strict=True):
                each, alone_total = next(values), next(totals)
                total = _total(each)
                row.append(
                    ChoiceScore(
                        tuple((spelled(token), value) for token, value in zip(ids, each, strict=True)),
                        total,
                        total / max(1, len(each)),
                        total / len(choice),
                        total - alone_total if each else total,
                        alone_total,
                    )
                )
            scores.append(tuple(row))
        return scores

    def _encoded(self, prompt: str, choices: Sequence[str]) -> tuple[list[int], list[list[int]], bool]:
        """Ids of the prompt, those of each choice after it, and whether the prompt was cut to what has room.

        It begins with what the tokenizer puts before any text, as in Generate, and ends where the tokens of prompt and
        choice together are no more those of the prompt alone, for any choice: a tokenizer may join what is on both
        sides. Nothing for a choice of which the model knows no character, whatever space is before it. Raises
        :class:`ValueError` as :meth:`question` does.
        """
        cut = len(prompt) - len(prompt.rstrip())
        prompt, space = prompt.rstrip(), prompt[len(prompt) - cut :] or " "
        context, lost = self._ids(prompt)
        self.unspelled += lost
        joint = []
        for choice in choices:
            ids, unknown = self._ids(f"{prompt}{space}{choice}")
            self.unspelled += unknown - lost
            joint.append(ids)
        shared = min(_alike(context, ids) for ids in joint)
        before = self._text(context[shared:])
        spelled = [ids[shared:] if self._text(ids[shared:]) != before else [] for ids in joint]
        context = context[:shared]
        if not context:
            if self.lm.start is None:
                raise ValueError(f"{self.lm.name} has no token to begin a text with: give an uninformative prompt")
            context = [self.lm.start]
        else:
            context = [*self._before, *context]
        room = self.lm.context + 1 - max(map(len, spelled))
        if room < 1:
            raise ValueError(f"a choice is longer than the {self.lm.context:,} tokens of {self.lm.name}'s context")
        return context[-room:], spelled, len(context) > room

    def _ids(self, text: str) -> tuple[list[int], int]:
        """The known tokens of a text, and the number of unknown or lost characters."""
        encoding = self.lm.tokenizer.encode(text)
        known = [token for token in encoding.ids if token != UNKNOWN]
        self.lm.check(known)
        return known, len(encoding) - len(known) + len(encoding.lost)

    def _text(self, ids: Sequence[int]) -> str:
        return "".join(map(self.lm.tokenizer.spelled, ids)).strip()


Asked: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""tokens of a context, which may not be empty, and of what may follow it"""


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


def _asked(context: Sequence[int], choices: Sequence[Sequence[int]]) -> list[Asked]:
    start = tuple(context)
    return [(start, tuple(ids)) for ids in choices]


def logprobs(lm: LanguageModel, asked: Sequence[Asked]) -> list[list[float]]:
    """The log-probability of each token of what follows each context; every beginning they share is fed once.

    Raises :class:`ValueError` and :class:`engine.machine.MemoryRanOut` as :meth:`LanguageModel.feed`, and
    :class:`engine.lm.model_files.NoModel` for logits that are not finite.
    """
    import torch

    from engine.lm.tree import TokenTree

    tree, places = TokenTree(), []
    for context, ids in asked:
        # Nothing is asked after the last token, so it is not fed.
        places += tree.add([*context, *ids[:-1]])[len(context) - 1 :] if ids else []
    if not places:
        return [[] for _ in asked]
    rows = {node: row for row, node in enumerate(sorted(set(places)))}
    logits = lm.feed_tree(tree, list(rows))
    with torch.inference_mode():
        where = torch.tensor([[rows[node] for node in places], [token for _, ids in asked for token in ids]])
        row, target = where.to(logits.device)
        picked = logits.log_softmax(-1)[row, target].tolist()
    if any(map(math.isnan, picked)):  # also where a logit is infinite
        raise NoModel(f"the logits of {lm.name} are not finite (NaN or infinite): its weights are damaged")
    values = iter(picked)
    return [list(itertools.islice(values, len(ids))) for _, ids in asked]


def _total(each: Sequence[float]) -> float:
    return sum(each) if each else float("-inf")


def ways(found: Sequence[ChoiceScore]) -> dict[str, Any]:
    """Way to scores of the choices."""
    return {way: tuple(one.way(way) for one in found) for way in WAYS}
