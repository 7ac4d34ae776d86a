"""F1 in Tokens: hints are compared with what is drawn, in both directions."""

from __future__ import annotations

import re

import pytest
from explaining import SIZES, unexplained
from stage import until
from textual.pilot import Pilot

from tui.app import LabApp
from tui.tokens import storage
from tui.tokens.pane import TokensPane

IDS = {r"(?m)^[│ ] {8,}(?:\d+ *)+[│ ]*$": "ids of tokens beside the caret's; each is explained when the caret is on it"}


async def opened(pilot: Pilot[int], app: LabApp) -> TokensPane:
    app.action_show_pane("tokens")
    await until(pilot, lambda: bool(app.query(TokensPane)) and app.here.id == "tokens")
    pane = app.query_one(TokensPane)
    await until(pilot, lambda: all(entry.problem or entry.learnt for entry in pane.tokenizers.entries))
    await until(pilot, lambda: not pane.behind and len(pane.tokenizers.ready) == 3)
    await pilot.pause()
    return pane


@pytest.mark.parametrize("size", SIZES)
async def test_every_figure_of_the_tokens_is_explained_with_the_numbers_that_are_drawn(size: tuple[int, int]) -> None:
    storage.save(storage.TokensState("Hello Wörld\nunbelievable 🙂 x", 0, ("gpt2", "wordpiece", "bundled")))
    app = LabApp()
    async with app.run_test(size=size) as pilot:
        pane = await opened(pilot, app)
        for keys in ((), ("right",), ("down", "right"), ("k",), ("k",)):
            await pilot.press(*keys)
            await until(pilot, lambda: pane.tensor()[1] != "…")
            await pilot.pause()
            assert not unexplained(app, IDS)
        hints = {hint.name: hint for hint in pane.hints()}
        entry = pane.tokenizers.ready[0]
        assert entry.view is not None
        counted = entry.view.counts
        assert f"gpt2 {counted.characters / counted.tokens:.2f}" in hints["ch/tok"].text
        assert f"{counted.bytes / counted.characters:.2f} bytes of UTF-8" in hints["characters"].text
        assert hints["tokens"].text
        assert re.search(r"#[\d,]+", hints["merges"].text) if "merges" in hints else True
        await pilot.press("e")
        await until(pilot, lambda: pane.editor.has_focus)
        assert pane.hints()[0].name == "text"
        assert not unexplained(app, IDS)
