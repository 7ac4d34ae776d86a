"""A language model that is none: it writes what a test lets it write, and remembers what it was asked."""

from __future__ import annotations

import math
import string
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from data.vocabulary import Vocabulary
from engine.lm.chat import Conversation
from engine.lm.sampling import GenerateSpec, SetSampling
from engine.runs.events import Candidate, Completed, Continued, Event, Notice, Paused, Progress, Token
from engine.runs.messages import Continue, Control, Message, Pause, Stop
from engine.runs.spec import BadSpec, Problem
from engine.tokenization.encoding import CharacterTokenizer

LETTERS = string.ascii_lowercase


class FakeModels:
    """Stands in for ``engine.lm.find.load`` and ``engine.lm.generate.generate``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.specs: list[GenerateSpec] = []
        self.messages: list[Message] = []
        self.asked: list[str] = []
        self.missing: set[str] = set()
        self.spell: Callable[[int], str] = lambda number: ""
        """another text for an id; empty for its own"""
        self.chatting: set[str] = set()
        """models with a chat template: the system message in brackets, the user's message, a colon"""
        self.chat = SimpleNamespace(apply=self.converse)
        self.eos: set[int] = set()
        self.warn = ""
        """a warning to begin a completion with"""
        self._allowed = threading.Semaphore(0)
        self._free = True
        monkeypatch.setattr("engine.lm.find.load", self.load)
        monkeypatch.setattr("engine.lm.generate.generate", self.generate)
        monkeypatch.setattr("engine.lm.generate.generate_together", self.generate_together)
        monkeypatch.setattr("engine.hub.has", lambda repository: False)

    def hold(self) -> None:
        """From now on write only what :meth:`allow` lets through."""
        self._free = False

    def allow(self, tokens: int) -> None:
        """Let this many more tokens through."""
        for _ in range(tokens):
            self._allowed.release()

    def completions(self) -> list[GenerateSpec]:
        """What was asked for but looks at one place."""
        return [spec for spec in self.specs if spec.sampling.max_new_tokens > 1]

    def converse(self, conversation: Conversation) -> str:
        """As :meth:`engine.lm.chat.ChatTemplate.apply`."""
        if conversation.system == "refused":
            raise BadSpec([Problem("chat", "no system message [bold \x1b[31m")])
        return f"System {conversation.system or 'own'}. User {conversation.user}. Answer "

    def load(self, name: str, control: Control | None = None) -> Generator[Event, None, Any]:
        """As :func:`engine.lm.find.load`."""
        from engine.lm.find import NoModel

        self.asked.append(name)
        yield Progress(f"loading {name}", 1, 2)
        if name in self.missing:
            raise NoModel(f"no model {name!r}: it is nowhere [bold")
        vocabulary = Vocabulary(string.ascii_letters + string.digits + " .,'\n")
        return SimpleNamespace(
            name=name, source=f"fake {name}", tokenizer=CharacterTokenizer(vocabulary, name, "fake"),
            parameters=1_000_000, bytes=4_000_000, precision="float32", device=SimpleNamespace(type="cpu"), context=200,
            eos=frozenset(self.eos), start=vocabulary.id_of("\n"), vocabulary=len(vocabulary), slides=False,
            fingerprint=lambda: "f" * 64, check=lambda ids: None,
            chat=self.chat if name in self.chatting else None,
        )  # fmt: skip

    def generate(self, lm: Any, spec: GenerateSpec, control: Control) -> Iterator[Event]:
        """As :func:`engine.lm.generate.generate`: letters from the seed on, one after the other."""
        self.specs.append(spec)
        ids = list(spec.ids or lm.tokenizer.encode(spec.prompt).ids)
        if self.warn:
            yield Notice(self.warn, "warning", "context")
        prompt, sampling, made = len(ids), spec.sampling, list[str]()
        if spec.score_prompt:
            for index, number in enumerate(ids):
                yield self._token(lm, index, number, spec, prompt=True)
        reason = "length"
        while len(made) < sampling.max_new_tokens:
            stop, paused = False, False
            while True:
                for message in control.take():
                    self.messages.append(message)
                    match message:
                        case Stop():
                            stop = True
                        case Pause():
                            paused = True
                            yield Paused(len(made))
                        case Continue():
                            paused = False
                            yield Continued(len(made))
                        case SetSampling():
                            sampling = message.sampling
                free = self._free or spec.sampling.max_new_tokens == 1
                if stop or (not paused and (free or self._allowed.acquire(timeout=0.02))):
                    break
                control.wait(0.02)
            if stop:
                reason = "stop"
                break
            letter = LETTERS[(sampling.seed + len(ids)) % 26]
            number = lm.tokenizer.encode(letter).ids[0]
            token = self._token(lm, len(ids), number, spec, prompt=False)
            ids.append(number)
            made.append(token.text)
            yield token
        yield Completed(reason, "".join(made), prompt, len(made), 0, 0.01, 50.0, 1.0, spec.stream)

    def generate_together(self, lm: Any, specs: Sequence[GenerateSpec], control: Control) -> Iterator[Event]:
        """As :func:`engine.lm.generate.generate_together`, but one after the other."""
        for spec in specs:
            for event in self.generate(lm, spec, control):
                yield event
            if isinstance(event, Completed) and event.reason == "stop":
                return

    def _token(self, lm: Any, index: int, number: int, spec: GenerateSpec, *, prompt: bool) -> Token:
        first = prompt and index == 0
        text = self.spell(number) or lm.tokenizer.decode([number])
        drawn = 0.0 if spec.sampling.greedy else 0.75
        candidates = [Candidate(number, text, 0.5, 0.6, 1 - drawn / 3)]
        for offset, (own, cut) in enumerate(((0.25, ""), (0.125, "top_k"), (0.0625, "top_p")), 1):
            other = (number + offset) % lm.vocabulary
            name = self.spell(other) or lm.tokenizer.decode([other])
            candidates.append(Candidate(other, name, own, own, 0.0 if cut else 0.25, cut))
        return Token(
            index, number, text, None if first else math.log(0.5), None if prompt else math.log(0.75),
            None if first else 1, None if first else 1.5, None if prompt else 2, prompt,
            () if first else tuple(candidates[: spec.candidates]), spec.stream,
        )  # fmt: skip
