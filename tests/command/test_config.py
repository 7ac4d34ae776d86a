"""The configuration of the screen: what is read, what is refused and why, and what the screen makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Command, command, python

from checkpoints import home
from engine.gpt.spec import TrainSpec
from engine.runs.spec import BadSpec, options
from tui import config
from tui.actions import ACTIONS

SCREEN = """
import asyncio, sys
from tui import actions, config
from tui.follow import last_values
found = config.read()
actions.use(found.keys)
from tui.app import LabApp
async def look():
    app = LabApp(theme=found.theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.3)
        print(app.theme)
        app.set_focus(None)
        for key in sys.argv[1:]:
            await pilot.press(key)
            await pilot.pause(0.1)
            print(app.theme)
    print(last_values.read("screen.json", ["theme"]))
asyncio.run(look())
"""


def write(text: str) -> None:
    config.path().parent.mkdir(parents=True, exist_ok=True)
    config.path().write_text(text, encoding="utf-8")


def test_without_a_file_nothing_is_set_and_the_example_is_a_valid_one(run: Command) -> None:
    assert config.read() == config.Config()
    ran = run("config")
    assert ran.code == 0
    assert str(home.home() / "config.toml") in ran.err
    lines = [line.removeprefix("# ") for line in ran.out.splitlines()]
    write("\n".join(lines))
    assert config.read().theme == "lab-light"
    assert config.read().keys == {"train": {"save": ("W",), "cursor(1)": ("right", "period")}}
    assert config.read().at_end == config.AtEnd(True, "9", 'notify-send "$LLMLAB_RUN $LLMLAB_STATE"')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thme = 'dark'", ["thme", "did you mean theme?"]),
        ("[at_end]\nbell = 1\nnotify = '8'\ncomand = ''", ["true or false", '"9" or "777"', "did you mean command?"]),
        ("at_end = 1", ["at_end", "must be a table"]),
        ("theme = 'drak'", ["'drak' is not one of dark, light, 16"]),
        ("[keys.trian]\nsave = 'W'", ["keys.trian", "did you mean train?"]),
        (
            "[keys.train]\nsvae = 'W'\nlog = 7",
            ["keys.train.svae", "did you mean save?", "keys.train.log: must be a key"],
        ),
        ("[keys.train]\nsave = 'g'", ["keys.train.save: g is the key of train.log too"]),
        ("[keys.train]\nsave = 't'", ["t is the key of everywhere.theme too"]),
        ("[keys.train]\nsave = ''", ["must be a key"]),
        ("keys = 3", ["keys: must be a table"]),
        ("theme = ", ["config.toml"]),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_name(text: str, says: list[str], run: Command) -> None:
    write(text)
    ran = run("config")
    assert ran.code == 2
    assert all(each in ran.err for each in says), ran.err
    with pytest.raises(BadSpec):
        config.read()


def test_two_actions_may_change_keys() -> None:
    write("[keys.train]\nsave = 'g'\nlog = 'w'")
    assert config.read().keys["train"] == {"save": ("g",), "log": ("w",)}


def test_the_themes_are_those_of_the_screen() -> None:
    from tui import themes

    assert tuple(config.THEMES.values()) == themes.CYCLE


def test_keys_and_theme_are_those_of_the_file_and_the_last_theme_is_kept() -> None:
    write("theme = 'light'\n[keys.everywhere]\ntheme = 'Z'")
    ran = python(SCREEN, "t", "Z")
    assert ran.stdout.split("\n")[:4] == ["lab-light", "lab-light", "lab-16", "{'theme': 'lab-16'}"], ran.stderr


def test_no_command_imports_textual() -> None:
    ran = python("import sys, tui.command.cli, tui.config; print('textual' in sys.modules)")
    assert ran.stdout == "False\n", ran.stderr


def test_train_shows_every_field_in_its_help() -> None:
    shown = command("train", "--help").stdout
    assert all(f"--{name.replace('_', '-')}" in shown for name in options(TrainSpec))
    assert "Advanced" in shown
    assert shown.index("--learning-rate") < shown.index("Advanced") < shown.index("--beta1")


def test_completion_knows_commands_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # a line is added to .bashrc there
    script = tmp_path / "completion"
    ran = command("--install-completion", "--shell", "bash", "--output", script)
    assert ran.returncode == 0, ran.stderr
    assert str(script) in (tmp_path / ".bashrc").read_text()
    text = script.read_text()
    assert all(word in text for word in ("classify", "--learning-rate", "fast-karpathy"))


def test_every_action_is_found_by_its_pane_and_name() -> None:
    assert len({(one.where, one.name) for one in ACTIONS}) == len(ACTIONS)
