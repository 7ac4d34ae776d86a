"""Make the pictures of the pages from the program itself: a real run on the bundled corpus, the real screen, as SVG.

``make pictures`` trains for a minute or two first. With ``LLMLAB_HOME`` set, the runs that are there are shown.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SIZE = (120, 36)
TEXT = (
    "Hello World, and hello tokenization!\n"
    "A tokenizer learns from English: «Galeotto fu il libro» costs it more.\n"
    "\tNaïve café, 東京, 🎉 and [UNK]?"
)
PROMPT = "  Quando mi volsi a riguardar lo passo,\n"


def prepare() -> None:
    """Train what the pictures show."""
    from engine.gpt import runs as gpt_runs
    from engine.gpt.spec import build
    from engine.runs.messages import Control

    for name, steps, width in (("first-try", "120", "64"), ("verse", "1000", "128")):
        given = {"corpus": "dantesque", "preset": "nano", "name": name, "steps": steps, "width": width}
        spec = build({**given, "evaluate_every": "50", "sample_every": "50"}, preset_for_auto="nano")
        for _ in gpt_runs.drive(gpt_runs.create(spec), Control(), resume=False):
            pass


async def draw() -> None:
    """Show the panes one after the other and save each."""
    from tui.app import LabApp
    from tui.panes.runs import RunsPane

    app = LabApp()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.5)
        _save(app, "form")
        await pilot.press("7")
        await pilot.pause(1.5)
        _save(app, "runs")
        assert app.query_one(RunsPane).selected is not None
        await pilot.press("enter")
        await pilot.pause(2.5)
        await pilot.press("left", "left", "left")
        await pilot.pause(0.5)
        _save(app, "train")
        await pilot.press("f1")
        await pilot.pause(0.5)
        _save(app, "help")
        await pilot.press("escape", "2")
        await pilot.pause(2)
        app.here.take(TEXT)
        await pilot.pause(3)
        await pilot.press("escape", *["right"] * 5)
        await pilot.pause(1)
        _save(app, "tokens")
        await pilot.press("3")
        await pilot.pause(12)
        app.here.take(PROMPT)
        await pilot.press("f5")
        await pilot.pause(6)
        await pilot.press(*["left"] * 25)
        await pilot.pause(1)
        _save(app, "generate")
        await pilot.press("w")
        await pilot.pause(12)
        _save(app, "sweep")
        await pilot.press("escape", "4")
        await pilot.pause(2)
        await pilot.press("f5")
        await pilot.pause(45)
        _save(app, "classify")
        await pilot.press("5")
        await pilot.pause(2)
        await pilot.press("f5")
        await pilot.pause(60)
        _save(app, "choose")
        await pilot.press("6")
        await pilot.pause(2)
        await pilot.press("f5")
        await pilot.pause(60)
        app.here.take("my drill bit slips when I bore into metal")
        await pilot.pause(3)
        _save(app, "retrieve")


def _save(app: object, name: str) -> None:
    path = FOLDER / f"{name}.svg"
    path.write_text(app.export_screenshot(title="llmlab-tui", simplify=True), "utf-8")  # type: ignore[attr-defined]
    print(path.name, file=sys.stderr)


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as the program does: see tui/__main__.py
    if "LLMLAB_HOME" not in os.environ:
        os.environ["LLMLAB_HOME"] = tempfile.mkdtemp(prefix="llmlab-pictures-")
        prepare()
    asyncio.run(draw())
