"""How the next token is chosen, as a frozen record: no tensor library is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.runs.messages import Message
from engine.runs.spec import BadSpec, Problem, option


@dataclass(frozen=True)
class Sampling:
    """Settings of the draw. Defaults and order are those of ``transformers`` with ``do_sample=True``.

    In order: repetition penalty, temperature, top-k, top-p, min-p. The draw of the token at place ``i`` of a sequence
    depends on ``seed`` and ``i`` alone, so a sample that was stopped and continued equals one that was not, and two
    settings under one seed are compared on common random numbers.
    """

    greedy: bool = option(False, "always the most probable token; only the repetition penalty still counts")
    temperature: float = option(1.0, "divides the logits: below 1 sharper, above 1 flatter")
    top_k: int = option(50, "keep this many most probable tokens; 0 keeps all")
    top_p: float = option(1.0, "keep the most probable tokens that together reach this probability; 1 keeps all")
    min_p: float = option(0.0, "keep tokens at least this share as probable as the most probable; 0 keeps all")
    repetition_penalty: float = option(1.0, "divides (or multiplies, if negative) logits of tokens seen; 1 is none")
    max_new_tokens: int = option(100, "tokens to add at most")
    seed: int = option(1337, "decides the draws")

    def validate(self) -> list[Problem]:
        """Everything that is wrong with the settings by themselves."""
        wrong = (
            ("temperature", not 0 < self.temperature <= 100, "must lie in 0 < temperature ≤ 100; greedy is a setting"),
            ("top_k", self.top_k < 0, "must not be negative; 0 keeps all"),
            ("top_p", not 0 < self.top_p <= 1, "must lie in 0 < top-p ≤ 1"),
            ("min_p", not 0 <= self.min_p <= 1, "must lie between 0 and 1"),
            ("repetition_penalty", not 0 < self.repetition_penalty <= 10, "must lie in 0 < penalty ≤ 10"),
            ("max_new_tokens", self.max_new_tokens < 1, "must be at least 1"),
            ("seed", not 0 <= self.seed < 2**63, "must lie in 0 ≤ seed < 2^63"),
        )
        return [Problem(name, message) for name, bad, message in wrong if bad]

    def check(self) -> None:
        """Raise :class:`engine.runs.spec.BadSpec` with everything that is wrong."""
        if problems := self.validate():
            raise BadSpec(problems)


@dataclass(frozen=True)
class GenerateSpec:
    """What to complete and how."""

    prompt: str = ""
    ids: tuple[int, ...] | None = None
    """token ids to go on from, in place of ``prompt``: a branch keeps its tokens, whatever its text would encode to"""
    sampling: Sampling = Sampling()
    candidates: int = 10
    """how many of the most probable tokens each ``Token`` carries; 0 carries none"""
    score_prompt: bool = False
    """yield a ``Token`` for each token of the prompt first"""
    stream: int = 0
    """names this completion among several; each of its tokens carries it"""


@dataclass(frozen=True)
class SetSampling(Message):
    """Draw the next token, and all after it, with these settings.

    It never comes through an inbox: completions are made in the process that asks for them.
    """

    sampling: Sampling
