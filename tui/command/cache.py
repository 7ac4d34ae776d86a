"""``llmlab-tui cache``: what can be had again, shown or removed."""

from __future__ import annotations

from typing import Annotated, Any

from checkpoints import home
from checkpoints import run as runs
from tui import units
from tui.command.driven import BAD_INPUT, DONE, complain
from tui.command.options import Flag, Json
from tui.output import print_json, print_message, say
from tui.text import safe


def cache(*, clear: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """Show the size of the cache: features of texts, indexes of documents, converted models.

    Parameters
    ----------
    clear
        Remove them; they are computed or fetched again when they are needed.
    """
    from engine.encoders import cache as kept

    if clear:
        owned = [run.name for run in runs.every(home.runs()) if run.owner() is not None]
        if owned:
            return complain(f"{owned[0]} is running and may use the cache; stop it first", BAD_INPUT)
        print_message(f"{units.size(kept.clear())} removed")
    there = kept.entries()
    told: dict[str, Any] = {
        kind: {
            "entries": sum(entry.kind == kind for entry in there),
            "bytes": sum(entry.bytes for entry in there if entry.kind == kind),
        }
        for kind in kept.KINDS
    }
    if json:
        print_json({**told, "limit": kept.limit(), "path": str(home.cache())})
        return DONE
    for kind, one in told.items():
        say(f"{kind:<9} {one['entries']:>6,}  {units.size(one['bytes']):>10}")
    say(f"limit             {units.size(kept.limit()):>10}  {safe(str(home.cache()), lines=False)}")
    return DONE
