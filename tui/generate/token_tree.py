"""The text of the Generate pane as a tree of tokens: what was written, what models added, and every branch of both.

Pure state: no screen, no threads, no tensors. A *place* counts tokens of the text from 0; the place after the last
one is where a completion goes on. A *node* is one token in the tree, shared by all branches that begin alike.
"""

from __future__ import annotations

import math
import zlib
from bisect import bisect_right
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from engine.lm.sampling import Sampling
from engine.runs.events import Candidate, Token
from tui.generate.generation_tasks import Pieces

MOST = 20_000  # nodes in the tree; beyond, the branches that were made first are let go, never the text on the screen
LEFT = 0.8  # share of ``MOST`` that is left then
DETAILED = 2_000  # nodes that keep their candidates, the newest; those of others are computed again when looked at
STEPS = 200  # to undo
RAW = -1  # the model of a piece of text that no tokenizer has seen


@dataclass(slots=True)
class Node:
    """One token. ``text`` is what it adds, nothing while a character is incomplete."""

    parent: int
    id: int
    text: str
    model: int
    """index in ``TokenTree.models``"""
    prompt: bool
    """the user's own, not a model's"""
    head: bool = False
    """the first token of a completion, or one chosen by hand"""
    chosen: bool = False
    """picked by hand among the candidates"""
    logprob: float | None = None
    drawn_logprob: float | None = None
    rank: int | None = None
    entropy: float | None = None
    kept: int | None = None
    candidates: tuple[Candidate, ...] = ()
    drawn: Sampling | None = None
    """the settings that it was drawn with, as far as they are remembered"""
    children: list[int] = field(default_factory=list)
    latest: int = -1
    """the child that the text went through last"""


@dataclass(frozen=True)
class View:
    """What undo goes back to: the end of the text in the tree, what follows it untokenized, and the cursor."""

    tip: int
    draft: str
    cursor: int


class TokenTree:
    """The tree, the path through it that is the text, and a cursor on it."""

    def __init__(self) -> None:
        self.nodes = [Node(-1, -1, "", RAW, True)]
        self.models: list[str] = []
        self.marks: dict[tuple[int, int], str] = {}
        """how tokens that begin or end a text, and add nothing to it, are spelled, by model and id"""
        self.path: list[int] = []
        """the nodes of the text, in order"""
        self.draft = ""
        """the end of the text that no tokenizer has seen yet"""
        self.cursor = 0
        """place of the token that is looked at; ``len(path)`` is the end"""
        self.version = 0
        """changes with everything that can be seen"""
        self.edition = 0
        """changes with the text, its probabilities and its branches, but not with the cursor"""
        self._forks: tuple[int, list[int]] = (-1, [])
        self._tallied: tuple[int, list[tuple[int, float | None]]] = (-1, [])
        self._undo: list[View] = []
        self._redo: list[View] = []
        self._detailed: list[int] = []
        self._base = self._model = 0
        self.drawn: Sampling | None = None
        """the settings of the completion that goes on"""
        self._head = False

    # -- the text ----------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.nodes[node].text for node in self.path) + self.draft

    @property
    def prompt(self) -> str:
        """The text up to the end of what the user wrote last: without the completion that it ends with."""
        if self.draft:
            return self.text
        last = next((place for place in range(len(self.path), 0, -1) if self.nodes[self.path[place - 1]].prompt), 0)
        return "".join(self.nodes[node].text for node in self.path[:last])

    def pieces(self, model: int) -> tuple[str, Pieces, str]:
        """What a completion by ``model`` goes on from: a beginning kept as one piece, if there is one, the tokens after
        it that are the model's own, and the text after those.
        """
        lead = len(self.path) > 1 and self.nodes[self.path[0]].model == RAW
        found: Pieces = []
        for number in self.path[lead:]:
            node = self.nodes[number]
            if node.model != model:
                break
            found.append((node.id, node.text))
        if not found:
            return "", [], self.text
        rest = self.path[lead + len(found) :]
        after = "".join(self.nodes[number].text for number in rest) + self.draft
        return self.nodes[self.path[0]].text if lead else "", found, after

    @property
    def model(self) -> int:
        """The model whose tokens the text ends with; ``RAW`` for one without tokens, or with a draft."""
        return self.nodes[self.path[-1]].model if self.path and not self.draft else RAW

    @property
    def tip(self) -> int:
        """The node that the text ends with; 0 for none."""
        return self.path[-1] if self.path else 0

    def at(self, place: int) -> Node | None:
        """The token at ``place``; None at the end of the text."""
        return self.nodes[self.path[place]] if 0 <= place < len(self.path) else None

    def before(self, place: int) -> int:
        """The node that the token at ``place`` follows; 0 at the beginning."""
        return self.path[place - 1] if place > 0 else 0

    def number_of(self, model: str) -> int:
        """The index of a model by what it calls itself; a new one for a model not seen before."""
        if model not in self.models:
            self.models.append(model)
        return self.models.index(model)

    @property
    def undoable(self) -> bool:
        """Whether there is something to undo."""
        return any((view.tip, view.draft) != (self.tip, self.draft) for view in self._undo)

    def ended(self, eos: Container[int]) -> bool:
        """Whether the text ends with a completion that the model itself ended, with one of the ids ``eos``."""
        last = self.nodes[self.tip]
        return not (last.prompt or self.draft) and last.id in eos

    def tally(self, *, prompt: bool) -> tuple[int, float | None]:
        """How many of the text's tokens are the prompt's, or the completion's, and their perplexity under the model.

        The perplexity is None when none is scored.
        """
        if self._tallied[0] != self.edition:
            nodes = [self.nodes[number] for number in self.path]
            self._tallied = self.edition, [_tally([node for node in nodes if node.prompt == mine]) for mine in (0, 1)]
        return self._tallied[1][prompt]

    @property
    def unscored(self) -> int:
        """The last place whose token has no probability; 0 when only the first has none, as it must be."""
        places = range(len(self.path) - 1, 0, -1)
        return next((place for place in places if self.nodes[self.path[place]].logprob is None), 0)

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, text: str) -> bool:
        """Make ``text`` the text. The tokens of the beginning that did not change stay. False when nothing changed."""
        kept, rest = self._unchanged(text)
        if kept == len(self.path) and rest == self.draft:
            return False
        self.remember()
        self.show(self.path[:kept], rest, kept)
        return True

    def begin(self, text: str) -> None:
        """Begin a new text; the one before stays as a branch, and undo goes back to it."""
        if text != self.text:
            self.remember()
            self._keep_draft()
            self.show([], text, 0)

    def settle(self, kept: int, tokens: Iterable[tuple[int, str]], model: int, base: int, lead: str = "") -> None:
        """The text has been tokenized: it is its first ``kept`` pieces, ``lead``, and ``tokens`` of ``model``.

        ``lead`` is a beginning too long for any context, kept as one piece. ``base`` is the place of the first token
        that the model sees; the ``index`` of its tokens counts from there.
        """
        path = self.path[:kept]
        if lead:
            path.append(self._child(path[-1] if path else 0, _raw(lead), lead, RAW, prompt=True))
        for number, text in tokens:
            path.append(self._child(path[-1] if path else 0, number, text, model, prompt=True))
        self.show(path, "", len(path) if self.cursor >= len(self.path) else self.cursor)
        self._base, self._model = base, model

    def grow(self, sampling: Sampling) -> None:
        """The tokens that come next belong to a new completion, drawn with ``sampling``."""
        self._head = True
        self.drawn = sampling

    def fold(self, token: Token) -> None:
        """Take in a token: a prompt's gets its probabilities, any other is added to the end of the text."""
        if token.prompt:
            place = self._base + token.index
            if 0 <= place < len(self.path) and self.nodes[self.path[place]].id == token.id:
                self._learn(self.path[place], token)
            return
        following = self.cursor >= len(self.path)
        node = self._child(self.tip, token.id, token.text, self._model, prompt=False)
        self._learn(node, token)
        self.nodes[node].head |= self._head
        self.nodes[node].drawn = self.drawn
        self._head = False
        self.path.append(node)
        if following:
            self.cursor = len(self.path)
        self._alter()

    def take(self, place: int, token: Token, choice: Candidate, text: str) -> None:
        """Put ``choice``, one of the candidates of ``token``, at ``place`` and end the text there with its ``text``.

        What stood there stays as a branch.
        """
        self.remember()
        self._keep_draft()
        before = self.before(place)
        known = len(self.nodes)
        node = self._child(before, choice.id, text, self.nodes[before].model, prompt=False)
        made = self.nodes[node]
        if node == known:
            made.head = made.chosen = True
        if made.logprob is None:
            made.logprob = math.log(choice.probability) if choice.probability > 0 else -math.inf
            made.rank = 1 + sum(one.probability > choice.probability for one in token.candidates)
            made.entropy = token.entropy
            self._detail(node, token.candidates)
        self.show([*self.path[:place], node], "", place + 1)

    def cut_back(self) -> bool:
        """Take the last completion off the end, to draw it again; False when the text does not end with one."""
        for place in range(len(self.path) - 1, -1, -1):
            node = self.nodes[self.path[place]]
            if node.prompt:
                return False
            if node.head:
                end = place + node.chosen
                if end == len(self.path):
                    return False
                self.show(self.path[:end], "", end)
                return True
        return False

    # -- walking -----------------------------------------------------------------------------------------------------

    def move(self, place: int) -> None:
        """Put the cursor on ``place``, as far as there is one."""
        place = max(0, min(place, len(self.path)))
        if place != self.cursor:
            self.cursor = place
            self.version += 1

    def branches(self, place: int) -> tuple[int, int]:
        """Which branch the text takes at ``place``, from 1, and how many there are. A draft is a branch too."""
        siblings = self.nodes[self.before(place)].children if 0 <= place <= len(self.path) else []
        if 0 <= place < len(self.path):
            return siblings.index(self.path[place]) + 1, len(siblings)
        return (len(siblings) + 1, len(siblings) + 1) if self.draft and siblings else (0, 0)

    def fork(self) -> int | None:
        """The nearest place with branches, from the cursor back, else after it; None when there is none."""
        if self._forks[0] != self.edition:
            before = [0, *self.path][: len(self.path) + bool(self.draft)]
            several = [len(self.nodes[node].children) + (place == len(self.path)) for place, node in enumerate(before)]
            self._forks = self.edition, [place for place, count in enumerate(several) if count > 1]
        places = self._forks[1]
        if not places:
            return None
        return places[max(0, bisect_right(places, self.cursor) - 1)]

    def switch(self, by: int) -> bool:
        """Go to another branch of the nearest fork, along the way taken there last; False when there is no fork."""
        place = self.fork()
        if place is None:
            return False
        self.remember()
        drafted = self._keep_draft()
        here = drafted if place == len(self.path) else self.path[place]
        siblings = self.nodes[self.before(place)].children
        node = siblings[(siblings.index(here) + by) % len(siblings)]
        path = self.path[:place]
        while node >= 0:
            path.append(node)
            node = self.nodes[node].latest
        self.show(path, "", place)
        return True

    # -- undo --------------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """What is there now can be come back to."""
        view = View(self.tip, self.draft, self.cursor)
        if not self._undo or self._undo[-1] != view:
            self._undo.append(view)
            del self._undo[:-STEPS]
        self._redo.clear()

    def undo(self) -> bool:
        """Back to before the last change of the text; False when there is nothing."""
        return self._step(self._undo, self._redo)

    def redo(self) -> bool:
        """Forward again; False when there is nothing."""
        return self._step(self._redo, self._undo)

    def _step(self, source: list[View], target: list[View]) -> bool:
        here = View(self.tip, self.draft, self.cursor)
        while source:
            view = source.pop()
            if (view.tip, view.draft) != (here.tip, here.draft):
                target.append(here)
                self.show(self.way(view.tip), view.draft, view.cursor)
                return True
        return False

    # -- the tree ----------------------------------------------------------------------------------------------------

    def way(self, node: int) -> list[int]:
        """The path that ends with ``node``."""
        path = []
        while node > 0:
            path.append(node)
            node = self.nodes[node].parent
        return path[::-1]

    def prune(self) -> list[str]:
        """Let the oldest branches go while there are too many nodes; returns the texts that are no longer held."""
        if len(self.nodes) <= MOST:
            return []
        kept = {0, *self.path}
        dropped = []
        for leaf in [number for number, node in enumerate(self.nodes) if number and not node.children][::-1]:
            way = self.way(leaf)
            if len(kept.union(way)) <= MOST * LEFT:
                kept.update(way)
            elif leaf not in kept:
                dropped.append("".join(self.nodes[node].text for node in way))
        order = sorted(kept)
        renumbered = {old: new for new, old in enumerate(order)}
        for number in order:
            node = self.nodes[number]
            node.parent = renumbered.get(node.parent, -1)
            node.children = [renumbered[child] for child in node.children if child in kept]
            node.latest = renumbered.get(node.latest, -1)
        self.nodes = [self.nodes[number] for number in order]
        self.path = [renumbered[node] for node in self.path]
        self._detailed = [renumbered[node] for node in self._detailed if node in kept]
        for views in (self._undo, self._redo):
            views[:] = [View(renumbered[v.tip], v.draft, v.cursor) for v in views if v.tip in kept]
        self._alter()
        return dropped[::-1]

    def _alter(self) -> None:
        self.version += 1
        self.edition += 1

    def _child(self, parent: int, number: int, text: str, model: int, *, prompt: bool) -> int:
        for child in self.nodes[parent].children:
            node = self.nodes[child]
            if (node.id, node.model) == (number, model):
                node.text = node.text or text
                self.nodes[parent].latest = child
                return child
        made = len(self.nodes)
        self.nodes.append(Node(parent, number, text, model, prompt))
        self.nodes[parent].children.append(made)
        self.nodes[parent].latest = made
        return made

    def _learn(self, number: int, token: Token) -> None:
        node = self.nodes[number]
        if token.logprob is not None:
            node.logprob, node.rank, node.entropy = token.logprob, token.rank, token.entropy
        if not token.prompt:
            node.drawn_logprob, node.kept = token.drawn_logprob, token.kept
        if token.candidates:
            self._detail(number, token.candidates)
        self._alter()

    def _detail(self, number: int, candidates: tuple[Candidate, ...]) -> None:
        self.nodes[number].candidates = candidates
        self._detailed.append(number)
        if len(self._detailed) > 2 * DETAILED:
            for old in set(self._detailed[:-DETAILED]) - set(self._detailed[-DETAILED:]):
                self.nodes[old].candidates = ()
            del self._detailed[:-DETAILED]

    def show(self, path: list[int], draft: str, cursor: int) -> None:
        """Make a path and what follows it the text."""
        self.path, self.draft = path, draft
        self.cursor = max(0, min(cursor, len(path)))
        parent = 0
        for node in path:
            self.nodes[parent].latest = node
            parent = node
        self._alter()

    def _keep_draft(self) -> int:
        """A draft that is left behind becomes a branch of its own, as one piece without an id; returns its node."""
        if not self.draft:
            return 0
        return self._child(self.tip, _raw(self.draft), self.draft, RAW, prompt=True)

    def _unchanged(self, text: str) -> tuple[int, str]:
        """How many tokens ``text`` begins with, and what follows them."""
        done = 0
        for place, number in enumerate(self.path):
            piece = self.nodes[number].text
            if not text.startswith(piece, done):
                return place, text[done:]
            done += len(piece)
        return len(self.path), text[done:]


def _raw(text: str) -> int:
    """An id for a piece that no tokenizer has seen: below 0, the same for the same text."""
    return -1 - zlib.crc32(text.encode("utf-8", "surrogatepass"))


def _tally(nodes: list[Node]) -> tuple[int, float | None]:
    scores = [node.logprob for node in nodes if node.logprob is not None]
    return len(nodes), math.exp(min(700.0, -sum(scores) / len(scores))) if scores else None
