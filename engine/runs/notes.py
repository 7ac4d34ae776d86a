"""What people write about a run, in ``notes.json``: a title, tags, a note, and whether it is pinned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from checkpoints.run import Run
from engine.runs import codec
from engine.runs.spec import BadSpec, Problem

FILE = "notes.json"
LONGEST = {"title": 100, "tags": 30, "note": 10_000}
"""characters of a title, of each tag, and of a note"""


@dataclass(frozen=True)
class Notes:
    """The name of the directory stays the name of the run; ``title`` is only shown."""

    title: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    pinned: bool = False


def read(run: Run) -> Notes:
    """The notes of a run; those of one that has none or damaged ones are empty. Raises :class:`OSError`."""
    try:
        return codec.decode(Notes, run.read_json(FILE))
    except codec.Misfit:
        return Notes()


def change(run: Run, **changes: object) -> Notes:
    """Write notes with these fields changed, atomically. Raises :class:`engine.runs.spec.BadSpec` and OSError."""
    made = dataclasses.replace(read(run), **changes)  # type: ignore[arg-type]
    if found := problems(made):
        raise BadSpec(found)
    newer = codec.unknown(Notes, run.read_json(FILE))
    run.write_json(FILE, {**newer, **codec.encode(made)})
    return made


def tag(run: Run, added: Iterable[str] = (), removed: Iterable[str] = ()) -> Notes:
    """Add and remove tags; each stays where it was, new ones come last. Raises what :func:`change` raises."""
    gone = set(removed)
    tags = dict.fromkeys((*read(run).tags, *added))
    return change(run, tags=tuple(one for one in tags if one not in gone))


def problems(notes: Notes) -> list[Problem]:
    """What is wrong with notes, before they are written."""
    found = []
    if not notes.title.isprintable():
        found.append(Problem("title", "must be one line of characters that print"))
    for one in notes.tags:
        if not one or not one.isprintable() or any(letter.isspace() or letter == "," for letter in one):
            found.append(Problem("tag", f"{one!r} must be a word without blanks and commas"))
    for name, texts in (("title", [notes.title]), ("tags", notes.tags), ("note", [notes.note])):
        if any(len(text) > LONGEST[name] for text in texts):
            found.append(Problem(name, f"is longer than {LONGEST[name]:,} characters"))
    return found
