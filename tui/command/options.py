"""Options of a command from the fields of a task's spec: names, types, choices, defaults and help."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from engine.runs.spec import Option

_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=.*)?", re.DOTALL)
Flag = Parameter(negative="")
"""an option without its opposite"""
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object per line on stdout.")]
Quiet = Annotated[bool, Parameter(negative="", help="Print errors only.")]
RunName = Annotated[str, Parameter(help="Name, path or latest.")]
RunNames = Annotated[list[str], Parameter(negative="", help="One or more runs: name, path or latest.")]
ModelName = Annotated[str, Parameter(help="Name, path, latest or bundled.")]


def _no_option(kind: Any, value: Any) -> None:
    """Refuse a text that was meant as an option: it would be taken as what it names otherwise."""
    for text in [value] if isinstance(value, str) else value or ():
        if _OPTION.fullmatch(text):
            raise ValueError(f"no option {text}; pass a text that looks like an option through a pipe")


Texts = Parameter(allow_leading_hyphen=True, negative="", validator=_no_option)
"""positional text, which may begin with a hyphen but is no option"""


def options(kind: type) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command whose first argument is a spec of this kind, made from options for its fields.

    The other arguments of the command are options too.
    """
    known = {entry.metadata["option"].name or entry.name: entry for entry in fields(kind)}
    hints = typing.get_type_hints(kind)
    made = [_parameter(name, entry, hints[entry.name]) for name, entry in known.items()]

    def spec(values: dict[str, Any]) -> Any:
        return kind(**{known[name].name: _several(value) for name, value in values.items()})

    return _taking(made, spec)


def asked(kind: type, presets: Mapping[str, Mapping[str, Any]]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command whose first argument is what was given for any field of a spec of this kind; nothing has a default.

    The other arguments of the command are options too. Advanced fields stand in a group of their own.
    """
    by_preset = {name for preset in presets.values() for name in preset}

    def parameter(entry: Field[Any]) -> inspect.Parameter:
        known: Option = entry.metadata["option"]
        value: Any = Literal[known.choices] if known.choices and not known.numbered else str
        unit = f", in {known.unit}" if known.unit else ", true or false" if isinstance(entry.default, bool) else ""
        default = "by the preset" if entry.name in by_preset else repr(entry.default)
        group = {"group": "Advanced"} if known.advanced else {}
        about = Parameter(negative="", help=f"{known.help}{unit}. Default: {default}.", **group)  # type: ignore[arg-type]
        annotation = Annotated[value | None, about]
        return inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    return _taking([parameter(entry) for entry in fields(kind)], dict)


def _taking(
    made: Sequence[inspect.Parameter], first: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A command that takes the options ``made``; ``first`` turns what was given for them into its first argument."""

    def wrap(command: Callable[..., int]) -> Callable[..., int]:
        own = [*inspect.signature(command, eval_str=True).parameters.values()][1:]

        @functools.wraps(command, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        def run(**values: Any) -> int:
            more = {one.name: values.pop(one.name) for one in own if one.name in values}
            return command(first({name: value for name, value in values.items() if value is not None}), **more)

        run.__annotations__ = {one.name: one.annotation for one in (*made, *own)}
        run.__signature__ = inspect.Signature([*made, *own], return_annotation=int)  # type: ignore[attr-defined]
        return run

    return wrap


def flowing(text: str) -> str:
    """A docstring with every paragraph, and every description of a parameter, in one line: help is wrapped later."""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        indent, before = _indent(line), lines[-1] if lines else ""
        ruled = before.startswith("--") or line.startswith("--")
        if line and before and indent == _indent(before) and not ruled:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parameter(name: str, entry: Field[Any], hint: Any) -> inspect.Parameter:
    known: Option = entry.metadata["option"]
    default, about = entry.default, known.help
    kind = Literal[known.choices] if known.choices and not known.numbered else hint
    if isinstance(default, tuple):
        usual = "all" if default == known.choices else " and ".join(default)
        about = f"{about}; repeat the option for several. Default: {usual}."
        kind, default = list[kind] | None, None  # type: ignore[valid-type]
    quiet = "" if isinstance(default, bool) or default is None else None
    annotation = Annotated[kind, Parameter(negative=quiet, help=about)]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _several(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value
