"""``llmlab-tui runs``: lists them, and keeps what people write about them, with a trash for deleted ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

from cyclopts import App, Parameter

from checkpoints import home, trash
from checkpoints import run as directories
from engine.runs import notes, query
from engine.runs.listing import summarise
from tui import units
from tui.command.driven import DONE
from tui.command.options import Flag, Json, RunName, RunNames
from tui.output import print_json, print_message, say
from tui.text import safe

Several = Annotated[list[str], Parameter(negative="")]

runs = App(
    name="runs", help="List every run: state, steps, best figure; tag, note, rename, pin, delete and restore them."
)


@runs.default
def list_runs(
    *,
    filter: Annotated[str, Parameter(help="Words and figures that a run must have: preset:nano best<1.8")] = "",
    sort: Annotated[str, Parameter(help=f"Order: {', '.join(query.SORTS)}.")] = query.SORTS[0],
    json: Json = False,
) -> int:
    """List every run: state, steps, best validation loss, and its title, tags and parent. Pinned ones come first."""
    asked = query.matching(filter)
    counted = json or "size" in f"{sort} {filter}"
    seen = (replace(summarise(run), size=run.size() if counted else None) for run in directories.every(home.runs()))
    every = query.ordered((one for one in seen if asked(one)), sort)
    for found in sorted(every, key=lambda one: not one.pinned):
        if json:
            print_json(asdict(found))
        elif found.state == "unreadable":
            say(f"{safe(found.name):<40}  unreadable: {safe(found.why, lines=False)}")
        else:
            written = [f'"{found.title}"'] * bool(found.title) + [f"#{tag}" for tag in found.tags]
            written += ["pinned"] * found.pinned + [f"from {found.parent}"] * bool(found.parent)
            name, state, *rest = (safe(text, lines=False) for text in (found.name, found.state, found.corpus, *written))
            steps = f"{found.step:>8,} / {found.steps:<8,}"
            say(f"{name:<40}  {state:<11}  {steps}  {units.best(found):>7}  {'  '.join(rest)}")
    return DONE


@runs.command
def tag(run: RunName, tags: Several, /, *, remove: Annotated[bool, Flag] = False) -> int:
    """Add tags to a run.

    Parameters
    ----------
    tags
        Words without blanks and commas.
    remove
        Remove these tags instead.
    """
    found = directories.find(home.runs(), run)
    made = notes.tag(found, removed=tags) if remove else notes.tag(found, tags)
    say(safe(" ".join(made.tags), lines=False))
    return DONE


@runs.command
def note(run: RunName, text: str | None = None, /) -> int:
    """Write a note about a run, or print it.

    Parameters
    ----------
    text
        Replaces the note; an empty one removes it. Without a text the note is printed.
    """
    found = directories.find(home.runs(), run)
    if text is None:
        say(safe(notes.read(found).note))
    else:
        notes.change(found, note=text)
    return DONE


@runs.command
def rename(run: RunName, title: str, /) -> int:
    """Give a run a title that lists and reports show; its directory and its name stay as they are.

    Parameters
    ----------
    title
        One line; an empty one removes it.
    """
    notes.change(directories.find(home.runs(), run), title=title.strip())
    return DONE


@runs.command
def pin(run: RunNames, /, *, off: Annotated[bool, Flag] = False) -> int:
    """Pin runs, such as a baseline: they are listed first.

    Parameters
    ----------
    off
        Take them off again.
    """
    for found in [directories.find(home.runs(), name) for name in run]:
        notes.change(found, pinned=not off)
    return DONE


@runs.command
def delete(run: RunNames, /) -> int:
    """Move runs into the trash, where they can be restored for a week."""
    trash.sweep(home.runs())
    found = {one.path: one for one in (directories.find(home.runs(), name) for name in run)}
    for one in found.values():
        trash.delete(one)
        print_message(f"deleted {one.name}; restore it within a week: llmlab-tui runs restore {one.name}")
    return DONE


@runs.command
def restore(run: Several, /) -> int:
    """Put deleted runs back.

    Parameters
    ----------
    run
        One or more deleted runs: name, or latest for the one that was deleted last.
    """
    for name in run:
        say(safe(trash.restore(home.runs(), name).name, lines=False))
    return DONE


@runs.command(name="trash")
def list_trash(*, empty: Annotated[bool, Flag] = False, json: Json = False) -> int:
    """List deleted runs and how long each can still be restored; those past a week are removed.

    Parameters
    ----------
    empty
        Remove all of them for good.
    """
    removed = trash.sweep(home.runs(), everything=empty)
    if removed:
        print_message(f"removed {removed:,} run{'s' * (removed != 1)} for good")
    for one in trash.deleted(home.runs()):
        if json:
            print_json({"name": one.name, "path": str(one.run.path), "deleted": one.time, "seconds_left": one.left})
        else:
            say(f"{safe(one.name, lines=False):<40}  {units.duration(one.left)} left")
    return DONE
