"""The user's configuration, ``config.toml`` under the home: the theme, and other keys for actions."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from checkpoints import home
from engine.runs.spec import BadSpec, Problem
from tui.actions import ACTIONS, key_name, key_of

THEMES = {"dark": "lab-dark", "light": "lab-light", "16": "lab-16"}
"""names of the themes, and of Textual's that draw them"""
EXAMPLE = """\
# theme = "light"      # dark, light or 16 (the terminal's own colours)

# [keys.train]         # a pane, or everywhere; a key or a list of keys for an action
# save = "W"
# "cursor(1)" = ["right", "period"]

# [at_end]             # of a run that finished, failed or was interrupted
# bell = true          # the terminal's bell, while the screen shows the run
# notify = "9"         # a notification of the terminal, by OSC 9 or OSC 777
# command = 'notify-send "$LLMLAB_RUN $LLMLAB_STATE"'  # by the process that worked, with the screen or without
"""


@dataclass(frozen=True)
class AtEnd:
    """What is done when a run ends."""

    bell: bool = False
    notify: str = ""
    """``9`` or ``777``, the number of an OSC sequence of terminals, or empty"""
    command: str = ""
    """for the shell; LLMLAB_RUN, LLMLAB_RUN_PATH and LLMLAB_STATE are in its environment"""


@dataclass(frozen=True)
class Config:
    """What the user has set."""

    theme: str = ""
    """as Textual names it; empty for the last used"""
    keys: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """keys of actions, by pane and name of the action"""
    at_end: AtEnd = AtEnd()


def path() -> Path:
    """Where the configuration lies."""
    return home.home() / "config.toml"


def read() -> Config:
    """The configuration; empty where there is none. Raises :class:`engine.runs.spec.BadSpec` with every problem."""
    try:
        text = path().read_text("utf-8")
        found = tomllib.loads(text)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise BadSpec([Problem("", f"{path()}: {error.strerror or error}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSpec([Problem("", f"{path()}: {error}")]) from None
    problems = _unknown("", found, ("theme", "keys", "at_end"))
    theme, keys = found.get("theme", ""), found.get("keys", {})
    if theme not in ("", *THEMES):
        problems.append(Problem("theme", f"{theme!r} is not one of {', '.join(THEMES)}"))
    if not isinstance(keys, dict):
        problems.append(Problem("keys", "must be a table"))
        keys = {}
    meant = _keys(keys, problems)
    problems += _clashes(meant)
    at_end = _at_end(found.get("at_end", {}), problems)
    if problems:
        raise BadSpec(problems)
    return Config(THEMES.get(theme, ""), meant, at_end)


def _at_end(found: Any, problems: list[Problem]) -> AtEnd:
    """What is done when a run ends; what is wrong with it is added to ``problems``."""
    if not isinstance(found, dict):
        problems.append(Problem("at_end", "must be a table"))
        return AtEnd()
    problems += _unknown("at_end.", found, [one.name for one in fields(AtEnd)])
    bell, notify, command = found.get("bell", False), found.get("notify", ""), found.get("command", "")
    for name, right, meant in (
        ("bell", isinstance(bell, bool), "true or false"),
        ("notify", notify in ("", "9", "777"), '"9" or "777"'),
        ("command", isinstance(command, str), "a text for the shell"),
    ):
        if not right:
            problems.append(Problem(f"at_end.{name}", f"must be {meant}"))
    return AtEnd(bell, notify, command)


def _unknown(place: str, found: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """What is not one of the known names, each with the nearest one."""
    problems = []
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"
            problems.append(Problem(f"{place}{name}", f"there is no such name{hint}"))
    return problems


def _keys(found: Mapping[str, Any], problems: list[Problem]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Keys by pane and action; what is wrong with them is added to ``problems``."""
    meant: dict[str, dict[str, tuple[str, ...]]] = {}
    panes = list(dict.fromkeys(action.where for action in ACTIONS))
    problems += _unknown("keys.", found, panes)
    for pane in found.keys() & set(panes):
        if not isinstance(found[pane], dict):
            problems.append(Problem(f"keys.{pane}", "must be a table"))
            continue
        problems += _unknown(f"keys.{pane}.", found[pane], [one.name for one in ACTIONS if one.where == pane])
        for name, given in found[pane].items():
            several = [given] if isinstance(given, str) else given
            if not (isinstance(several, list) and several and all(isinstance(one, str) and one for one in several)):
                problems.append(Problem(f"keys.{pane}.{name}", "must be a key or a list of keys"))
                continue
            named = tuple(key_of(one) if len(one) == 1 else one.lower() for one in several)
            if strange := [one for one in named if not one.isprintable() or " " in one]:
                problems.append(
                    Problem(f"keys.{pane}.{name}", f"{strange[0]!r} is not the name of a key, such as f9 or a")
                )
            meant.setdefault(pane, {})[name] = named
    return meant


def _clashes(meant: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[Problem]:
    """Keys that were given to one action and belong to another in the same place."""
    problems = []
    for pane, actions in meant.items():
        for name, keys in actions.items():
            for other in ACTIONS:
                theirs = meant.get(other.where, {}).get(other.name, other.keys)
                together = "everywhere" in (pane, other.where) or pane == other.where
                both = set(keys) & set(theirs)
                if together and both and (other.where, other.name) != (pane, name):
                    clash = f"{key_name(min(both))} is the key of {other.where}.{other.name} too"
                    problems.append(Problem(f"keys.{pane}.{name}", clash))
    return problems
