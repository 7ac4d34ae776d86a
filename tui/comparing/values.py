"""What a form asks for, checked as it is typed and remembered; and what a look at its data found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from textual.content import Content

from data import tablefiles
from engine.runs.spec import Problem
from tui import last_values
from tui.text import safe

S = TypeVar("S")
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Fields:
    """The fields of one form. Values are text, as they are typed."""

    file: str
    """under the home, where the values of the last start are kept"""
    defaults: Mapping[str, str]
    several: str
    """the field that takes several of a few values, with blanks between them"""
    able: tuple[str, ...]
    """those values"""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """fields that take one of a few values"""
    numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """least and most of fields that take a whole number"""
    paths: tuple[str, ...] = ("data", "encoder")
    """fields that may hold a path"""

    def problems(self, values: Mapping[str, str]) -> list[Problem]:
        """What is wrong with choices and numbers, and an encoder without a name."""
        found = []
        if not values["encoder"].strip():
            found.append(Problem("encoder", "name auto, minilm, a folder, or a model on the Hub"))
        if not values[self.several].split():
            found.append(Problem(self.several, "choose at least one: Space ticks it"))
        for name, (least, most) in self.numbers.items():
            text = values[name].strip()
            if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
                limit = f"{least} or more" if most > 1 << 60 else f"{least:,} to {most:,}"
                found.append(Problem(name, f"must be a whole number, {limit}"))
        for name, able in self.choices.items():
            if values[name] not in able:
                found.append(Problem(name, f"one of {', '.join(able)}"))
        return found

    def recall(self) -> dict[str, str]:
        """The values of the last start over the defaults; a damaged file is passed over."""
        kept = last_values.read(self.file, self.defaults)
        kept = {name: value for name, value in kept.items() if value in self.choices.get(name, (value,))}
        if self.several in kept:
            kept[self.several] = " ".join(name for name in self.able if name in kept[self.several].split())
        return {**self.defaults, **kept}

    def remember(self, values: Mapping[str, str]) -> None:
        """Keep the values atomically; paths whole, since the next start may stand in another folder."""
        kept = dict(values)
        for name in self.paths:
            if kept[name] != self.defaults[name] and tablefiles.existing(kept[name].strip()):
                kept[name] = str(Path(os.path.expanduser(kept[name].strip())).absolute())
        last_values.write(self.file, kept)


@dataclass(frozen=True)
class Seen:
    """Empty before the first look."""

    source: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    """what there is, and how many"""
    checks: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    note: str = ""
    problem: str = ""
    """why nothing can be run with them; empty when something can"""

    def facts(self) -> Content:
        """Source, sizes, what the checks found, and something to look at."""
        lines: list[Content] = []
        if self.source:
            lines.append(Content.styled(safe(self.source, lines=False), "bold $primary"))
        if self.sizes:
            lines.append(Content("   ".join(f"{count:,} {name}" for name, count in self.sizes)))
        for mark, style, entries in (("· ", "", self.checks), ("! ", "$warning", self.repairs)):
            lines += [Content.styled(mark + safe(entry, lines=False), style) for entry in entries]
        lines += self.samples()
        if self.note:
            lines.append(Content.styled(safe(self.note), "$foreground 60%"))
        return Content("\n").join(lines)

    def samples(self) -> list[Content]:
        """Some of the data, a line each."""
        return []


def kind_of(name: str, bundled: str, *, folder: bool = False) -> str:
    """Where data of this name would come from: ``bundled``, ``path``, ``hub`` or ``nothing``. Makes no request.

    With ``folder`` only a folder is a path, and a name on the Hub has an owner.
    """
    if name == bundled:
        return "bundled"
    if (path := tablefiles.existing(name)) is not None and (path.is_dir() or not folder):
        return "path"
    return "hub" if tablefiles.possible(name) and ("/" in name or not folder) else "nothing"


def data_problems(name: str, kind: str, known: str, missing: str = "file or folder") -> list[Problem]:
    """Why data of this name cannot be used; ``known`` says what can be named, ``missing`` what was looked for."""
    if not name.strip():
        return [Problem("data", f"name {known}, or a data set on the Hub")]
    if kind == "nothing":
        return [Problem("data", f"no such {missing}, and no data set on the Hub can be called so")]
    return []


def fields_from(
    kind: type, file: str, names: str, numbers: Mapping[str, tuple[int, int]], paths: tuple[str, ...], **other: str
) -> Fields:
    """The fields of a form from those of a spec: defaults, choices, and what is ticked; ``other`` defaults differ."""
    entries = [entry for entry in fields(kind) if entry.name in names.split()]
    defaults = {entry.name: typed(entry.default, "") for entry in entries}
    several = next(entry for entry in entries if isinstance(entry.default, tuple))
    choices = {entry.name: entry.metadata["choices"] for entry in entries if entry.metadata["choices"]}
    able = choices.pop(several.name)
    choices |= {entry.name: ("off", "on") for entry in entries if isinstance(entry.default, bool)}
    ordered = {name: other.get(name, defaults[name]) for name in names.split()}
    return Fields(file, ordered, several.name, able, choices, numbers, paths)


def typed(value: Any, default: str) -> str:
    """A value of a spec as a form has it; ``default`` where there is none."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return default if value is None else str(value) or default


def spec_from(kind: type[S], given: Mapping[str, str], **fixed: Any) -> S:
    """The spec that a form's values describe, read by the types of its defaults; ``fixed`` are fields beside them."""
    defaults: dict[str, Any] = {entry.name: entry.default for entry in fields(kind)}  # type: ignore[arg-type]
    values = {name: _read(text, defaults[name]) for name, text in given.items() if name in defaults}
    return kind(**{**values, **fixed})


def _read(text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return text == "on"
    if isinstance(default, tuple):
        return tuple(text.split())
    return type(default)(text.strip())
