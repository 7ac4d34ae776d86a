"""README, CONTRIBUTING, CHANGELOG and docs/ say what the program does: generated parts, links, commands, figures."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cyclopts import CycloptsError

from engine.gpt.model import GPT
from engine.gpt.spec import PRESETS, TrainSpec, build
from engine.runs.spec import options
from tui.actions import ACTIONS
from tui.command import cli
from tui.widgets.bar import PANES

ROOT = Path(__file__).parents[2]
NAMES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
PAGES = {name: (ROOT / name).read_text("utf-8") for name in NAMES}
README = PAGES["README.md"]
HISTORY = "CHANGELOG.md"  # may name what is no longer there


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_generated_parts_are_up_to_date(name: str, generator: ModuleType) -> None:
    assert generator.fill(PAGES[name]) == PAGES[name], "run `make docs`"


def test_every_kind_of_generated_part_is_in_a_page(generator: ModuleType) -> None:
    assert set(re.findall(r"<!-- generated: (\w+) -->", "\n".join(PAGES.values()))) == set(generator.PARTS)


def test_every_action_is_in_the_page_of_keys() -> None:
    sections = re.split(r"^## (?:\d )?(\w+).*$", PAGES["docs/keys.md"], flags=re.MULTILINE)
    by_title = dict(zip(sections[1::2], sections[2::2], strict=True))
    title_of = {"everywhere": "Everywhere", **{name: title for name, _, title in PANES}}
    for action in ACTIONS:
        keys = " ".join(f"`{key}`" for key in action.key_text.split())
        assert f"| {keys} | {action.title} | {action.help} |" in by_title[title_of[action.where]]


def test_every_field_and_option_is_in_the_page_of_commands() -> None:
    page = PAGES["docs/command-line.md"]
    for name, known in options(TrainSpec).items():
        assert re.search(rf"^\| `{name}` \|.*\| {re.escape(known.help)} \|$", page, re.MULTILINE)
    for command in _commands():
        section = page.split(f"\n### {command}\n")[1].split("\n### ")[0].split("\n## ")[0]
        assert all(f"`{option}`" in section for option in _options(command) if option not in ("--[KEYWORD]",))


def test_parameters_of_the_presets_are_those_of_the_models() -> None:
    for name in PRESETS:
        model = GPT(build({"preset": name}, preset_for_auto="nano").model(72))
        found = re.search(rf"^\| `{name}` \|.*\| ([\d,]+) \|$", PAGES["docs/command-line.md"], re.MULTILINE)
        assert found is not None
        assert int(found[1].replace(",", "")) == sum(parameter.numel() for parameter in model.parameters())


def test_json_records_have_the_fields_that_the_page_names(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tokenize", "Hello", "--tokenizer", "bundled", "--json"]) == 0
    assert cli.main(["search", "tap", "--method", "bm25", "--k", "1", "--json"]) == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    for kind in ("tokenized", "hit"):
        paragraph = re.search(rf"^`{kind}`: (.*?)\n\n", PAGES["docs/command-line.md"], re.MULTILINE | re.DOTALL)
        assert paragraph is not None
        record = next(one for one in records if one["event"] == kind)
        assert set(re.findall(r"`([^`]+)`", paragraph[1])) == record.keys() - {"event"}


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_are_there(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                target
            )


def test_every_page_can_be_reached_from_readme() -> None:
    seen, waiting = set(), ["README.md"]
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            links = re.findall(r"\]\((?!https?:)([^)\s#]+\.md)[^)]*\)", PAGES[name])
            waiting += [str(((ROOT / name).parent / link).resolve().relative_to(ROOT)) for link in links]
    assert seen == set(NAMES)


def test_every_picture_is_shown_and_comes_from_the_program() -> None:
    shown = {picture for page in PAGES.values() for picture in re.findall(r"\(([\w/]+\.svg)\)", page)}
    for picture in (ROOT / "docs").glob("*.svg"):
        assert shown & {picture.name, f"docs/{picture.name}"}
        assert "llmlab" in picture.read_text("utf-8")


def _commands() -> list[str]:
    return [name for name, command in cli.commands() if command.show]


def _options(command: str) -> set[str]:
    arguments = dict(cli.commands())[command].assemble_argument_collection(parse_docstring=True)
    return {name for one in arguments if one.index is None for name in one.names}


def _code(text: str) -> Iterator[str]:
    """Lines of code blocks and spans of code."""
    fence = False
    for line in text.splitlines():
        if line.startswith("```"):
            fence = not fence
        elif fence or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


@pytest.mark.parametrize("name", [name for name in NAMES if name != HISTORY])
def test_every_command_shown_is_one(name: str) -> None:
    """Subcommands and options exist, and a line without placeholders is one that the program would accept."""
    for code in _code(PAGES[name]):
        if not (found := re.search(r"(?:^|\| )llmlab-tui ([a-z].*)", code)):
            continue
        words = shlex.split(found[1], comments=True)
        assert words[0] in _commands(), code
        command = " ".join(words[:2]) if " ".join(words[:2]) in _commands() else words[0]
        options = {word.partition("=")[0] for word in words[1:] if re.match(r"-\w|--\w", word)}
        fields = {f"--{entry.name.replace('_', '-')}" for entry in dataclasses.fields(TrainSpec)}
        assert options <= _options(command) | {"--help"} | (fields if words[0] == "train" else set()), code
        if words[1:] and not re.search(r"\b[A-Z]{3,}\b|…|\[", code) and "--help" not in options:
            try:
                cli.app.parse_args(words, exit_on_error=False, print_error=False)
            except CycloptsError as error:
                pytest.fail(f"{code}: {error}")


@pytest.mark.parametrize("name", [name for name in NAMES if name != HISTORY])
def test_every_target_of_make_and_every_file_named_is_there(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for code in _code(PAGES[name]):
        if found := re.match(r"make ([a-z]+)", code):
            assert found[1] in targets, code
        for path in re.findall(
            r"\b(?:tui|engine|data|checkpoints|tests|docs)/[\w/]*(?:\.(?:py|md|json)\b|/(?=\s|$))", code
        ):
            assert (ROOT / path).exists(), path


def test_the_keys_of_the_exercises_are_those_of_the_panes() -> None:
    pane_of = {key: name for name, key, _ in PANES}
    rows = re.findall(r"^\| [123][. ].*? \| (.*?) \| `llmlab-tui", README, re.MULTILINE)
    assert len(rows) == 6
    for row in rows:
        pane, *keys = re.findall(r"`(\w+)`", row)
        known = {key for action in ACTIONS if action.where in (pane_of[pane], "everywhere") for key in action.keys}
        assert {key.lower() for key in keys} <= known


def test_figures_in_readme_are_those_of_the_page_of_measurements() -> None:
    section = README.split("\n## Measured\n")[1].split("\n## ")[0]
    figures = set(re.findall(r"\d[\d,.]*\d|\b\d\b", section))
    assert len(figures) >= 20
    assert figures <= set(re.findall(r"\d[\d,.]*\d|\b\d\b", PAGES["docs/measurements.md"]))


def test_dependencies_in_readme_are_those_of_the_package() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {name: listed for name, listed in project["optional-dependencies"].items() if name != "dev"}
    wanted = [re.split(r"[^\w-]", one)[0] for listed in (project["dependencies"], *extras.values()) for one in listed]
    section = README.split("\n## Dependencies\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([a-z][^|(]*?) (?:\(extra `(\w+)`\) )?\| \w", section, re.MULTILINE)
    named = [(name, extra) for names, extra in rows for name in names.split(", ") if name != "package"]
    assert sorted(name for name, _ in named) == sorted(wanted)
    assert all(any(one.startswith(name) for one in extras[extra]) for name, extra in named if extra)
    for page in PAGES.values():
        assert set(re.findall(rf"{project['name']}\[(\w+)\]", page)) <= extras.keys()
