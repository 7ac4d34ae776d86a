"""What a spec is: a frozen dataclass whose fields say all that is known of them, and everything that is wrong with one.

The fields are the only list of what a task can be asked for: defaults, checks, options of the command line, forms and
documents are made from them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from data.encodings import TextError, named
from engine.runs import codec

S = TypeVar("S")
AUTO = "auto"
"""the text of a field that is not set where its type allows None"""
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec: the field, and what to do about it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class BadSpec(ValueError):
    """A spec cannot be used; ``problems`` holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Option:
    """What is known of a field of a spec beside its name, type and default."""

    help: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    """the only values, of a tuple the only entries; empty where anything of the type will do"""
    numbered: str = ""
    """a choice that may have a number, as ``cuda`` in ``cuda:1``"""
    meanings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """of choices whose names do not tell enough"""
    name: str = ""
    """on the command line, where it is another"""
    label: str = ""
    """in a form, where it is not the name"""
    group: str = ""
    """of fields that belong together, as a form has it for a title"""
    advanced: bool = False
    """whether a form shows it only on demand"""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    """as ``minimum``, which is excluded"""
    below: float | None = None
    """as ``maximum``, which is excluded"""
    required: str = ""
    """what to do where it is empty; without it, empty is allowed"""
    blank: str = ""
    """the text of an empty value in a form"""
    escaped: bool = False
    """whether line breaks and tabs are typed as ``\\n`` and ``\\t``"""
    path: bool = False
    """whether it may name a file or a folder"""

    @property
    def listed(self) -> tuple[str, ...]:
        """The choices for people, that with a number as ``cuda:N``."""
        return (*self.choices, f"{self.numbered}:N") if self.numbered else self.choices

    def allows(self, value: str) -> bool:
        """Whether the value is one of the choices, which there must be."""
        kind, colon, number = value.partition(":")
        named = bool(colon and kind and kind == self.numbered and re.fullmatch("0|[1-9][0-9]{0,3}", number))
        return value in self.choices or named

    def holds(self, number: float) -> bool:
        """Whether the number lies in the range; one that is no number lies in none."""
        return (
            (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )

    def range(self, name: str) -> str:
        """The range in words."""
        if self.maximum is None and self.below is None:
            if self.above is not None:
                return f"must be above {self.above:,}"
            return "must not be negative" if self.minimum == 0 else f"must be at least {self.minimum:,}"
        if self.minimum is not None and self.maximum is not None:
            return f"must lie between {self.minimum:,} and {self.maximum:,}"
        low = f"{self.minimum:,} ≤" if self.above is None else f"{self.above:,} <"
        high = f"≤ {self.maximum:,}" if self.below is None else f"< {self.below:,}"
        return f"must lie in {low} {name.replace('_', ' ')} {high}"


def option(default: Any, text: str, **known: Any) -> Any:
    """A field of a spec with its help; ``known`` are further fields of :class:`Option`."""
    return field(default=default, metadata={"option": Option(text, **known)})


DEVICES = ("auto", "cpu", "cuda", "mps")
device = functools.partial(option, "auto", choices=DEVICES, numbered="cuda", advanced=True)
"""where a task computes"""


def check_device(text: str) -> None:
    """Raise :class:`BadSpec` for what names no device, whether it is there or not."""
    known = Option("", choices=DEVICES, numbered="cuda")
    if message := _wrong("device", known, str, text):
        raise BadSpec([Problem("device", message)])


def check_gpus(gpus: str, device: str) -> list[Problem]:
    """What is wrong with a number of GPUs that work together, and with a device beside it."""
    if gpus != "all" and not (gpus.isdecimal() and 1 <= int(gpus) <= 64):
        return [Problem("gpus", f"{gpus!r} is neither all nor a number from 1 to 64")]
    if ":" in device and gpus != "1":
        return [Problem("device", f"{device} is one GPU: with several, use auto or cuda")]
    return []


def check_encoding(encoding: str) -> list[Problem]:
    """What is wrong with an encoding; empty is that of each file."""
    try:
        if encoding:
            named(encoding)
    except TextError as error:
        return [Problem("encoding", str(error))]
    return []


def options(kind: type) -> dict[str, Option]:
    """What is known of each field of a spec, by name and in order."""
    return {entry.name: entry.metadata["option"] for entry in dataclasses.fields(kind)}


class Spec(Protocol):
    """What a task is asked for: a frozen dataclass with these fields."""

    task: ClassVar[str]
    """name of the task, as ``spec.json`` has it"""

    @property
    def name(self) -> str: ...
    def validate(self) -> list[Problem]: ...


class DataSpec(Spec, Protocol):
    """What a task on a data set is asked for."""

    @property
    def data(self) -> str: ...


# -- what is wrong ---------------------------------------------------------------------------------------------------


def check(spec: Any) -> list[Problem]:
    """Everything that is wrong with the fields of a spec, each by itself: type, choice, range, emptiness."""
    kind: Any = type(spec)
    hints, found = _hints(kind), []
    for name, known in options(kind).items():
        if message := _wrong(name, known, hints[name], getattr(spec, name)):
            found.append(Problem(name, message))
    return found


def _wrong(name: str, known: Option, hint: Any, value: Any) -> str:
    """What is wrong with the value of a field; empty when nothing is."""
    if not _fits(hint, value):
        return f"{value!r} is not {_WORDS.get(hint, 'of its type')}"
    if known.required and not (value.strip() if isinstance(value, str) and not known.escaped else value):
        return known.required
    entries = value if isinstance(value, tuple) else (value,)
    if known.choices and (strange := [entry for entry in entries if not known.allows(entry)]):
        return f"{', '.join(map(repr, strange))} is none of {', '.join(known.listed)}"
    if type(value) is int and abs(value) > codec.LARGEST:
        return "is too large"
    return "" if not isinstance(value, int | float) or known.holds(value) else known.range(name)


def _fits(hint: Any, value: Any) -> bool:
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(inner[0], entry) for entry in value)
    if inner:
        return any(_fits(one, value) for one in inner)
    return type(value) is hint or (hint is float and type(value) is int)


# -- from text and to text -------------------------------------------------------------------------------------------


def changed(base: S, given: Mapping[str, Any]) -> S:
    """``base`` with these values, as text or of their type.

    Raises :class:`BadSpec` with every unknown field, every value of the wrong type and every problem of its
    ``validate``.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = name.replace("-", "_")
        try:
            values[key] = convert(type(base), key, value)
        except BadSpec as error:
            problems.extend(error.problems)
    made: Any = dataclasses.replace(typing.cast(Any, base), **values)
    told = {problem.field for problem in problems}
    problems += [problem for problem in made.validate() if problem.field not in told]
    if problems:
        raise BadSpec(problems)
    return typing.cast(S, made)


def convert(kind: type, name: str, value: Any) -> Any:
    """A field's value from its text or a TOML value. Raises :class:`BadSpec` naming the nearest field or the type."""
    hints = _hints(kind)
    if name not in hints:
        near = difflib.get_close_matches(name, hints, 1, 0.5)
        suggestion = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(hints)}"
        raise BadSpec([Problem(name, f"there is no such field{suggestion}")])
    hint = hints[name]
    try:
        return _converted(hint, value)
    except (ValueError, KeyError, OverflowError):
        raise BadSpec([Problem(name, f"{value!r} is not {_WORDS[hint]}")]) from None


def _converted(hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        return tuple(dict.fromkeys(value.split() if isinstance(value, str) else map(str, value)))
    if type(None) in typing.get_args(hint):
        return None if value in (None, AUTO) else str(value)
    if hint is bool:
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if hint is str:
        return str(value)
    text = str(value).replace("_", "").replace(",", "").strip()
    number = float(text)
    if hint is float:
        return number
    if number != int(number):
        raise ValueError(text)
    return int(text) if text.lstrip("+-").isdecimal() else int(number)


def spelled(spec: Any) -> dict[str, str]:
    """The text of every field of a spec: :func:`typed` makes the values of it again."""
    known = options(type(spec))
    return {name: _spell(known[name], getattr(spec, name)) for name in known}


def typed(kind: type, texts: Mapping[str, str]) -> dict[str, Any]:
    """What was typed for these fields, for :func:`changed`: without blanks around it, line breaks as they are meant."""
    known, result = options(kind), {}
    for name, text in texts.items():
        meant = _unescaped(text) if known[name].escaped else text.strip()
        result[name] = "" if known[name].blank and meant == known[name].blank else meant
    return result


def _spell(known: Option, value: Any) -> str:
    if value is None:
        return AUTO
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = str(value) or known.blank
    return "".join(_ESCAPES.get(character, character) for character in text) if known.escaped else text


def _unescaped(text: str) -> str:
    meant = {written: character for character, written in _ESCAPES.items()}
    return re.sub(r"\\.", lambda found: meant.get(found[0], found[0]), text)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


# -- records ---------------------------------------------------------------------------------------------------------


def to_dict(spec: Spec) -> dict[str, Any]:
    """A spec as JSON can hold it, marked as its task's."""
    return {"task": spec.task, **codec.encode(spec)}


def restored(kind: type[S], record: Mapping[str, Any]) -> S:
    """The spec that :func:`to_dict` wrote, with defaults for missing fields and without those of other versions.

    Raises :class:`BadSpec` with every field whose value has another type.
    """
    try:
        return codec.decode(kind, record)
    except codec.Misfit as error:
        raise BadSpec([Problem(*problem) for problem in error.problems]) from None
