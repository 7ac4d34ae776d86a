"""Opens the screen: decides about the terminal first, imports Textual after, and leaves the terminal as it was."""

from __future__ import annotations

import gc
import os
import shutil
import sys

from checkpoints import home
from engine.runs.spec import BadSpec
from tui import actions, config, terminal
from tui.follow import last_values
from tui.output import print_message


def first_pane() -> str:
    """The pane that is shown first: the Lab where nothing has been done yet, as far as the home tells."""
    place = home.home()
    used = [*home.runs().glob("*"), *place.glob("*.json"), *(place / "lab").glob("*.json")]
    return "lab" if all(file.name == "machine.json" for file in used) else "train"


def open_screen() -> int:
    """Run the full-screen program. Returns its exit code; 2 when this terminal cannot show it."""
    there = sys.stdin.isatty() and sys.stderr.isatty()
    problem = terminal.refusal(os.environ, terminal=there, size=shutil.get_terminal_size() if there else (0, 0))
    if problem is not None:
        print_message(f"llmlab-tui: {problem}")
        return 2
    few = terminal.colours(os.environ) == 16 and "TEXTUAL_COLOR_SYSTEM" not in os.environ
    os.environ.update(terminal.settings(os.environ))
    problems, found = "", config.Config()
    try:
        found = config.read()
        actions.use(found.keys)
    except BadSpec as error:
        problems = f"{config.path()}\n\n{error}"
    theme = config.THEMES["16"] if few else found.theme or last_values.read("screen.json", ["theme"]).get("theme", "")
    from tui import away
    from tui.app import LabApp

    log = home.home() / "screen.log"
    app = LabApp(theme=theme, wrong=problems, at_end=found.at_end, pane=first_pane())
    gc.collect()
    gc.freeze()
    with terminal.guarded(log):
        code = app.run(mouse=os.environ.get("LLMLAB_MOUSE", "1") != "0")
    if app.return_code:
        print_message(f"llmlab-tui: the screen failed; the log is in {log}")
        return 1
    if going_on := away.living():
        goes = "goes on in a process of its own" if len(going_on) == 1 else "go on in processes of their own"
        print_message(f"{', '.join(going_on)} {goes}. To see it again: llmlab-tui; to list all runs: llmlab-tui runs")
    return code or 0
