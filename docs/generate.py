"""Write the generated parts of the pages from the program itself: keys, commands, fields, presets and events.

A generated part lies between ``<!-- generated: NAME -->`` and ``<!-- /generated -->``. ``make docs`` writes them;
``make check`` and tests/command/test_documents.py fail when one is out of date.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_VALUES = {"int": "integer", "float": "number", "str": "text", "bool": "", "Path": "path"}
_JSON = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "None": "null"}
_WIDGETS = {
    "Choice": "field with a few values",
    "Entry": "dialog with a line of text",
    "Form": "form of Train, Classify, Choose and Retrieve",
    "CandidateView": "Generate: candidates",
    "ModelChooser": "Generate: choice of the model",
    "Opener": "dialog that opens an earlier run",
    "Page": "help, doctor and other pages over the screen",
    "Question": "dialog with buttons",
    "SettingsDialog": "Generate: settings of an A/B comparison",
    "SettingsStrip": "Generate: settings",
    "SweepView": "Generate: completions side by side",
    "TableView": "list of runs",
    "Ticks": "field with several values to tick",
    "Editor": "text editor of Tokens and Generate",
    "TokenSearch": "Tokens: search in a vocabulary",
}
_DESCRIPTIONS = {
    "answer_last": "press the last button, which changes nothing",
    "case": "match case, or not",
    "focus_previous": "previous button",
    "focus_next": "next button",
    "into": "to the list of matches",
    "tick": "tick or untick the value",
}


def pages() -> list[Path]:
    """Every page that people read."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def fill(text: str) -> str:
    """``text`` with every generated part as it should be now."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


def keys() -> str:
    """The table of actions, pane by pane."""
    from tui.actions import ACTIONS
    from tui.widgets.bar import PANES

    lines: list[str] = []
    for where, title in [("everywhere", "Everywhere"), *((name, f"{key} {title}") for name, key, title in PANES)]:
        rows = [(key_names(action.keys), action.title, action.help) for action in ACTIONS if action.where == where]
        lines += [f"## {title}", "", *_table(("key", "action", "what it does"), rows), ""]
    return "\n".join(lines[:-1])


def widget_keys() -> str:
    """Keys of fields, lists and dialogs, which the table of actions does not hold."""
    rows: dict[tuple[str, str, str], None] = {}
    for name, bindings in sorted(_widgets(), key=lambda found: _WIDGETS.get(found[0], found[0])):
        for binding in bindings:
            names = [key for key in binding.key.split(",") if "shift+" not in key]
            action = re.sub(r"^(?:app\.)?(?:\w+\('(\w+)'\)|(\w+).*)$", r"\1\2", binding.action)
            what = binding.description.lower() or action.replace("_", " ")
            if action in _DESCRIPTIONS and name != "Form":
                what = _DESCRIPTIONS[action]
            if names:
                rows[(_WIDGETS.get(name, name), key_names(names), what)] = None
    return "\n".join(_table(("where", "key", "what it does"), rows))


def key_names(names: Iterable[str]) -> str:
    """Keys as they are printed on a keyboard."""
    from tui.actions import key_name

    return " ".join(f"`{key_name(name)}`" for name in names)


def commands() -> str:
    """Every command with its options, from the functions that the command line is made of."""
    from tui.command import cli

    lines: list[str] = []
    for name, command in cli.commands():
        if not command.show:
            continue
        arguments = [one for one in command.assemble_argument_collection(parse_docstring=True) if one.show]
        rows = [_option(one) for one in arguments]
        places = [f"{row[0].strip('`')}{' …' * row[1].endswith('…')}" for row in rows if not row[0].startswith("`-")]
        optional = [place if row[2] == "required" else f"[{place}]" for place, row in zip(places, rows, strict=False)]
        usage = " ".join(["llmlab-tui", name, *optional, *["[OPTIONS]"] * (len(rows) > len(places))])
        about = inspect.cleandoc(command.help).partition("\nParameters\n")[0].strip()
        lines += [f"### {name}", "", f"    {usage}", "", *about.splitlines(), ""]
        lines += [*_table(("option", "value", "default", "meaning"), rows), ""] if rows else []
    return "\n".join(lines[:-1])


def fields() -> str:
    """Fields of a training run."""
    from engine.gpt.spec import TrainSpec

    rows = []
    for entry in dataclasses.fields(TrainSpec):
        known = entry.metadata["option"]
        choices = ", ".join(f"`{one}`" for one in known.listed)
        value = choices or _VALUES[str(entry.type)] or "`true`, `false`"
        rows.append((f"`{entry.name}`", value, _default(entry.default), known.help))
    return "\n".join(_table(("field", "value", "default", "meaning"), rows))


def presets() -> str:
    """The presets and what they come to."""
    from engine.gpt.spec import PRESETS, build

    shape = "layers, heads, width"
    heads = ("preset", shape, "context", "batch", "steps", "learning rate", "parameters (72 characters)")
    rows = []
    for name in PRESETS:
        spec = build({"preset": name}, preset_for_auto="nano")
        sizes = (f"{spec.layers}, {spec.heads}, {spec.width}", str(spec.context), str(spec.batch), f"{spec.steps:,}")
        rate = f"{spec.learning_rate:g}, {spec.schedule}"
        rows.append((f"`{name}`", *sizes, rate, f"{spec.model(72).parameters():,}"))
    return "\n".join(_table(heads, rows))


def events() -> str:
    """Every event as JSON, from the dataclasses and their docstrings."""
    from engine.runs import events as module

    lines: list[str] = []
    for name, doc, rows in _records(module, lambda kind: dataclasses.is_dataclass(kind) and kind is not module.Event):
        kind = getattr(module, name)
        title = f"`{module._NAMES[kind]}`" if issubclass(kind, module.Event) else f"an element of `{name.lower()}s`"
        inherited = kind.__mro__[1].__name__ if kind.__mro__[1] not in (module.Event, object) else ""
        more = f", with the fields of {inherited} and these" if inherited else ""
        lines += [f"#### {title} ({name}{more})", "", *doc.splitlines(), ""]
        lines += [*_table(("field", "type", "meaning"), rows), ""] if rows else []
    return "\n".join(lines[:-1])


def run_summary() -> str:
    """Fields of a line of ``runs --json``."""
    from engine.runs import listing

    ((_, _, rows),) = _records(listing, lambda kind: kind.__name__ == "Summary")
    return "\n".join(_table(("field", "type", "meaning"), rows))


def packaged() -> str:
    """Files that are taken out of other packages."""
    from data.packaged import EVERY

    rows = [(f"`{file.name}`", f"`{file.distribution}`", f"`{file.sha256}`") for file in EVERY]
    return "\n".join(_table(("file", "package", "SHA-256"), rows))


def glossary() -> str:
    """The terms of the field, with their sources."""
    from engine.lab.glossary import page

    rows = [(one.name, one.definition, f"[{one.source}]({one.url})" if one.url else one.source) for one in page()]
    return "\n".join(_table(("term", "meaning", "source"), rows))


PARTS: dict[str, Callable[[], str]] = {
    make.__name__: make
    for make in (keys, widget_keys, commands, fields, presets, events, run_summary, packaged, glossary)
}


def _widgets() -> Iterator[tuple[str, list[Any]]]:
    """Classes of the screen that bind keys of their own, with those bindings."""
    import tui

    for found in pkgutil.walk_packages(tui.__path__, "tui."):
        if found.name == "tui.__main__":
            continue
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == found.name and (own := vars(kind).get("BINDINGS")):
                bindings = [one for one in own if not one.id]  # those with an id come from the table of actions
                if bindings:
                    yield kind.__name__, bindings


def _option(argument: Any) -> tuple[str, str, str, str]:
    """A row about one argument of a command."""
    positional = argument.index is not None
    names = [argument.field_info.name.upper()] if positional else list(argument.names)
    many = get_origin(argument.hint) in (list, tuple) or any(get_origin(one) is list for one in get_args(argument.hint))
    inner = argument.hint
    while get_origin(inner) is not Literal and (
        inside := [one for one in get_args(inner) if one not in (type(None), ...)]
    ):
        inner = inside[0]
    choices = argument.get_choices() or (get_args(inner) if get_origin(inner) is Literal else ())
    if argument.field_info.kind is inspect.Parameter.VAR_KEYWORD:
        names, value = ["--FIELD"], "text"
    elif choices:
        value = ", ".join(f"`{one}`" for one in choices)
    else:
        value = _VALUES.get(inner.__name__, inner.__name__)
    default = argument.field_info.default
    shown = "" if default in (inspect.Parameter.empty, False) else _default(default)
    shown = "required" if argument.required else shown
    meaning = " ".join((argument.parameter.help or "").split())
    return " ".join(f"`{name}`" for name in names), value + " …" * many, shown, meaning


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{value!r}`" if isinstance(value, str) and not value.isprintable() else f"`{value}`"


def _records(module: Any, wanted: Callable[[type], bool]) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """Dataclasses of a module: name, docstring, and a row for each field with the string that follows it."""
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef) or not wanted(getattr(module, node.name)):
            continue
        rows: list[tuple[str, str, str]] = []
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                rows.append((f"`{line.target.id}`", _type(line.annotation), ""))
            elif isinstance(line, ast.Expr) and rows and isinstance(line.value, ast.Constant):
                rows[-1] = (*rows[-1][:2], _plain(str(line.value.value)))
        yield node.name, _plain(inspect.cleandoc(ast.get_docstring(node) or "")), rows


def _type(annotation: ast.expr) -> str:
    spelled = ast.unparse(annotation)
    if isinstance(annotation, ast.BinOp):
        return f"{_type(annotation.left)} or {_type(annotation.right)}"
    if spelled.startswith(("dict", "Mapping")):
        return "object"
    if found := re.fullmatch(r"tuple\[(\w+), \.\.\.\]", spelled):
        return {"Any": "array"}.get(found[1]) or f"array of {_JSON.get(found[1], 'object')}s"
    return _JSON[spelled]


def _plain(text: str) -> str:
    """reStructuredText about Python as Markdown about JSON."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"\bNone\b", "null", text)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return lines + [
        f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    ]


def main(arguments: list[str]) -> int:
    """Write every page whose generated parts have changed; with ``--check`` name them, and return 1 where there are."""
    check, changed = "--check" in arguments, 0
    for page in pages():
        text = page.read_text("utf-8")
        if (filled := fill(text)) != text:
            changed += 1
            if not check:
                page.write_text(filled, "utf-8")
            print(f"{page.relative_to(ROOT)} {'is out of date: run make docs' if check else 'written'}")
    return int(check and changed > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
