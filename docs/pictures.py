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
QUERY = "my drill bit slips when I bore into metal"


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


STEPS: tuple[tuple[str, float, str], ...] = (
    ("", 1.5, "form"),
    ("7", 1.5, "runs"),
    ("enter", 2.5, ""),
    ("left left left", 0.5, "train"),
    ("f1", 0.5, "help"),
    ("escape 2", 2, ""),
    (TEXT, 3, ""),
    ("escape right right right right right", 1, "tokens"),
    ("3", 12, ""),
    (PROMPT, 0, ""),
    ("f5", 6, ""),
    ("left " * 25, 1, "generate"),
    ("w", 12, "sweep"),
    ("escape 4", 2, ""),
    ("f5", 45, "classify"),
    ("5", 2, ""),
    ("f5", 60, "choose"),
    ("6", 2, ""),
    ("f5", 60, ""),
    (QUERY, 3, "retrieve"),
)
"""keys or a text for the pane, seconds to wait, and the picture that is saved then"""


async def draw() -> None:
    """Show the panes one after the other and save each."""
    from tui.app import LabApp
    from tui.runs.pane import RunsPane

    app = LabApp()
    async with app.run_test(size=SIZE) as pilot:
        for sent, seconds, picture in STEPS:
            if sent in (TEXT, PROMPT, QUERY):
                app.here.take(sent)
            else:
                await pilot.press(*sent.split())
            await pilot.pause(seconds)
            if picture:
                _save(app, picture)
            if picture == "runs":
                assert app.query_one(RunsPane).selected is not None


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
