"""Make the pictures of the pages from the program itself: the real screen at two sizes, as SVG.

``make pictures`` shows two recorded trainings (``docs/runs``) and three comparisons that it runs first, side by side.
Generate is shown with SmolLM2 where ``llmlab-tui fetch smollm2`` has put it into the cache, else with the Dante GPT.
With ``LLMLAB_HOME`` set, the runs that are there are shown: at least one of every task. Seeds are fixed, so another
drawing differs only in what was measured: seconds, speeds, the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.lm.model import LanguageModel
    from tui.app import LabApp

FOLDER = Path(__file__).parent
SIZES = {"": (120, 40), "80": (80, 24)}
"""columns and rows by what is appended to the name of a picture"""
TEXT = (
    "Hello World, and hello tokenization!\n"
    "A tokenizer learns from English: «Galeotto fu il libro» costs it more.\n"
    "\tNaïve café, 東京, 🎉 and [UNK]?"
)
PROMPT = "the lab's prompt"
"""stands for that, or for a verse where the model knows no other letters"""
MESSAGE = "The capital of Italy"
QUERY = "my drill bit slips when I bore into metal"
COMPARISONS = (("classify",), ("choose", "--seeds", "1"), ("retrieve",))
STEPS: tuple[tuple[str, str], ...] = (
    ("", "form"),
    ("7", ""),
    ("end space up space", "runs"),
    ("v left left left", "compare"),
    ("escape", ""),
    ("open train", ""),
    ("left left left", "train"),
    ("f1", "help"),
    (f"escape 2 {TEXT}", ""),
    ("escape right right right right right", "tokens"),
    (f"3 {PROMPT}", ""),
    ("f5", ""),
    ("left " * 25, "generate"),
    ("w", "sweep"),
    (f"escape {MESSAGE}", ""),
    ("c", ""),
    ("tab tab up f5", ""),
    ("escape left left left", "chat"),
    ("open classify", "classify"),
    ("open choose", "choose"),
    (f"open retrieve {QUERY}", "retrieve"),
    ("8", ""),
    ("right enter", ""),
    ("2 enter 2 enter 3 enter 2 enter 3 enter", ""),
    ("down down down", "lab"),
)
"""keys, a text for the pane, or a task whose newest run is opened, and the picture that is saved then"""
QUIET = 0.3  # seconds without a change after which a step is over: longer than the panes wait for more typing
LONGEST = 20.0  # seconds that a step is waited for once nothing is computed


def prepare(models: Path) -> None:
    """Put the recorded trainings and SmolLM2 of the cache ``models`` into the home, and run what else is shown."""
    from checkpoints import home, run
    from engine.lm import find, smollm2

    if (models / smollm2.NAME / "config.json").is_file():
        home.models().mkdir(parents=True)
        (home.models() / smollm2.NAME).symlink_to(models / smollm2.NAME)
        find.note_used(smollm2.NAME)
    else:
        print(
            "SmolLM2 is not there, so Generate is drawn with the Dante GPT: llmlab-tui fetch smollm2", file=sys.stderr
        )
    commands = [
        subprocess.Popen([sys.executable, "-m", "llmlab_tui", *command], stderr=subprocess.DEVNULL)
        for command in COMPARISONS
    ]
    for name in ("first-try", "verse"):
        spec, *events = (FOLDER / "runs" / f"{name}.jsonl").read_text("utf-8").splitlines(keepends=True)
        made = run.create(home.runs(), name, json.loads(spec), {})
        made.events.write_text("".join(events), "utf-8")
    codes = [command.wait() for command in commands]
    if any(codes):
        raise SystemExit("a comparison failed")


async def draw(ending: str, size: tuple[int, int]) -> None:
    """Show the panes one after the other and save each."""
    from tui.app import LabApp

    app = LabApp()
    async with app.run_test(size=size) as pilot:
        for sent, picture in STEPS:
            text = next((text for text in (TEXT, PROMPT, MESSAGE, QUERY) if sent.endswith(text)), "")
            keys = sent.removesuffix(text).split()
            if keys[:1] == ["open"]:
                await _open(pilot, keys[1])
            else:
                await pilot.press(*keys)
            if text:
                await _settled(pilot)
                app.here.take(_usual_prompt(app) if text == PROMPT else text)
            await _settled(pilot)
            if picture and (picture != "chat" or _model(app).chat is not None):  # else that of last time stays
                path = FOLDER / f"{picture}{ending}.svg"
                path.write_text(app.export_screenshot(title="llmlab-tui", simplify=True), "utf-8")
                print(path.name, file=sys.stderr)


def _model(app: LabApp) -> LanguageModel:
    """The model of the Generate pane, which is shown."""
    from tui.generate.pane import GeneratePane

    model = app.query_one(GeneratePane).lm
    assert model is not None
    return model


def _usual_prompt(app: LabApp) -> str:
    from tui.generate.generation_tasks import usual_prompt

    return usual_prompt(_model(app))


async def _open(pilot: Pilot[int], task: str) -> None:
    """Open the newest run of a task from the list."""
    from tui.runs.pane import RunsPane

    await pilot.press("7")
    await _settled(pilot)
    table = pilot.app.query_one(RunsPane).table
    table.move(next(place for place, run in enumerate(table.entries) if run.task == task))
    await pilot.press("enter")


async def _settled(pilot: Pilot[int]) -> None:
    """Wait until nothing has changed on the screen for :data:`QUIET`, and nothing is being computed for it."""
    app = cast("LabApp", pilot.app)
    before, since, deadline = "", time.monotonic(), time.monotonic() + LONGEST
    while time.monotonic() < min(since + QUIET, deadline):
        await pilot.pause(0.1)
        now = app.export_screenshot(simplify=True)
        background = getattr(app.here, "background", None)
        busy = background is not None and background.active
        active = busy or getattr(app.here, "reading", False) or any(worker.is_running for worker in app.workers)
        if now != before or active:
            before, since = now, time.monotonic()
        if busy:
            deadline = since + LONGEST


def main() -> None:
    """Prepare what is shown, and draw it at both sizes."""
    if "LLMLAB_HOME" in os.environ:
        for ending, size in SIZES.items():
            asyncio.run(draw(ending, size))
        return
    from checkpoints import home

    models = home.models()
    with tempfile.TemporaryDirectory(prefix="llmlab-pictures-") as folder:
        os.environ["LLMLAB_HOME"] = folder
        prepare(models)
        for ending, size in SIZES.items():
            (home.home() / "generate" / "session.json").unlink(missing_ok=True)  # settings of the size before
            (home.home() / "lab" / "guesses.json").unlink(missing_ok=True)
            asyncio.run(draw(ending, size))


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # as the program does: see llmlab_tui/__main__.py
    main()
