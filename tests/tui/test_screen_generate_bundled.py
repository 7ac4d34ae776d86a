"""The Generate pane with the bundled model: what stands on the screen is what the engine says."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import tinylm
from stage import shows, until
from textual.pilot import Pilot

from engine.lm import find as models
from engine.lm.generate import generate
from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Event, Token
from engine.runs.messages import Control
from tui.app import LabApp
from tui.generate.pane import GeneratePane

pytestmark = pytest.mark.usefixtures("trainers")

PROMPT = "Nel mezzo del"
SAMPLING = Sampling(max_new_tokens=30, seed=7, temperature=0.9, top_k=12)


def load() -> models.LanguageModel:
    loading = models.load("bundled")
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def completion(prompt: str, sampling: Sampling) -> list[Token]:
    """What the engine says without a screen."""
    told: list[Event] = list(generate(load(), GenerateSpec(prompt, sampling=sampling), Control()))
    return [event for event in told if isinstance(event, Token)]


@asynccontextmanager
async def at_work(sampling: Sampling) -> AsyncIterator[Pilot[int]]:
    """The pane with a prompt that is being completed."""
    async with LabApp().run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.query(GeneratePane) and pilot.app.query_one(GeneratePane).settled, 60)
        pane = pilot.app.query_one(GeneratePane)
        pane.session.sampling = sampling
        pane.take(PROMPT)
        await pilot.press("f5")
        yield pilot


async def test_tokens_and_probabilities_are_those_of_the_engine() -> None:
    wanted = completion(PROMPT, SAMPLING)
    scored = tinylm.tokens(tinylm.complete(load(), PROMPT, score_prompt=True, max_new_tokens=1), prompt=True)
    async with at_work(SAMPLING) as pilot:
        pane = pilot.app.query_one(GeneratePane)
        await until(pilot, lambda: pane.settled and len(pane.tokens.path) == len(PROMPT) + 30, 60)
        tree = pane.tokens
        assert tree.text == PROMPT + "".join(token.text for token in wanted)
        nodes = [tree.nodes[number] for number in tree.path]
        for node, token in zip(nodes, [*scored, *wanted], strict=True):
            assert (node.id, node.rank, node.prompt) == (token.id, token.rank, token.prompt)
            if token.logprob is not None:
                assert node.logprob == pytest.approx(token.logprob, abs=1e-4)
        perplexity = math.exp(-sum(token.logprob or 0 for token in scored[1:]) / (len(scored) - 1))
        await shows(pilot, f"{len(PROMPT)} prompt", f"perplexity  prompt {perplexity:.2f}")
        place = len(PROMPT) + 5
        pane.move(place)  # the settings cut there what they cut when it was drawn
        await until(pilot, lambda: pane.settled and pane.see()[0].candidates, 60)
        seen = {one.id: one for one in pane.see()[0].candidates}
        for candidate in wanted[5].candidates:
            assert seen[candidate.id].final == pytest.approx(candidate.final, abs=1e-4)
            assert seen[candidate.id].cut == candidate.cut


async def test_stopped_and_continued_the_text_is_the_same() -> None:
    long = Sampling(max_new_tokens=90, seed=3)
    wanted = completion(PROMPT, long)
    async with at_work(long) as pilot:
        pane = pilot.app.query_one(GeneratePane)
        await until(pilot, lambda: len(pane.tokens.path) > len(PROMPT) + 3, 60)
        await pilot.press("f7")
        await until(pilot, lambda: pane.settled, 60)
        await pilot.press("f5")
        await until(pilot, lambda: pane.settled and len(pane.tokens.path) >= len(PROMPT) + 90, 60)
        assert pane.tokens.text.startswith(PROMPT + "".join(token.text for token in wanted))
