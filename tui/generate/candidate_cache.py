"""What is known of each place of a text: candidates seen there before, and what would have to be computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lm.sampling import Sampling
from engine.runs.events import Token
from tui.generate.candidate_view import Position
from tui.generate.generation_tasks import Source
from tui.generate.token_tree import Node, TokenTree
from tui.text import safe

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

MOST = 500  # places whose candidates are remembered


class CandidateCache:
    """Remembers draws by the node before and what of the settings decides the probabilities."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[Token, Sampling]] = {}

    def learn(self, before: int, sampling: Sampling, token: Token) -> None:
        """A draw after the node ``before``."""
        self._known[before, *distribution_key(sampling)] = token, sampling
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def forget(self) -> None:
        """The model or the tree is another one."""
        self._known.clear()

    def see(self, tree: TokenTree, place: int, sampling: Sampling, lm: LanguageModel | None) -> tuple[Position, bool]:
        """What is known of ``place`` under ``sampling``, and whether the model could tell more."""
        node = tree.at(place)
        branch = tree.branches(place)
        if known := self._known.get((tree.before(place), *distribution_key(sampling))):
            return Position(place, node, branch, *known), False
        more = ids_before(tree, place, lm) is not None
        if node is not None and node.candidates:
            same = node.drawn is not None and distribution_key(node.drawn) == distribution_key(sampling)
            return Position(place, node, branch, _as_token(node, place), node.drawn), more and not same
        return Position(place, node, branch, note="…" if more else _why_nothing(tree, place, lm)), more


def number_of(tree: TokenTree, lm: LanguageModel) -> int:
    """The model's number in the tree."""
    return tree.number_of(f"{lm.name} ({lm.source})")


def source(tree: TokenTree, lm: LanguageModel) -> Source:
    """What the model goes on from."""
    return Source(*tree.pieces(number_of(tree, lm)), tree.unscored)


def ids_before(tree: TokenTree, place: int, lm: LanguageModel | None) -> list[int] | None:
    """The model's own tokens before a place; None where it cannot say what follows."""
    if lm is None or (place >= len(tree.path) and tree.draft):
        return None
    lead, tokens, _ = tree.pieces(number_of(tree, lm))
    before = place - bool(lead)
    return [number for number, _ in tokens[:before]] if 0 < before <= len(tokens) else None


def spelled(lm: LanguageModel, before: list[int], choice: int) -> str:
    """The text that the token ``choice`` adds after the tokens ``before``."""
    if choice in lm.eos:
        return ""
    stream = lm.tokenizer.stream()
    for number in before[-4:]:  # a character has four bytes at most
        stream.step(number)
    return stream.step(choice)


def distribution_key(sampling: Sampling) -> tuple[object, ...]:
    """What of the settings decides the probabilities."""
    if sampling.greedy:
        return True, sampling.repetition_penalty
    cuts = (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    return False, sampling.repetition_penalty, *cuts


def _as_token(node: Node, place: int) -> Token:
    figures = (node.logprob, node.drawn_logprob, node.rank, node.entropy, node.kept)
    return Token(place, node.id, node.text, *figures, node.prompt, node.candidates)


def _why_nothing(tree: TokenTree, place: int, lm: LanguageModel | None) -> str:
    if not tree.text and not tree.path:
        return "Candidates for each token, with their probabilities before and after the settings."
    if lm is None:
        return "Choose a model (m) to see the candidates."
    if tree.draft and place >= len(tree.path):
        return "…"
    if place == 0:
        return "The first token has no prediction: nothing precedes it."
    return f"These tokens are of another model. F5 continues with {safe(lm.name, lines=False)}; m changes the model."
