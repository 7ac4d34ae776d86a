"""``llmlab-tui config``: where the configuration lies, what it holds, and what is wrong with it."""

from __future__ import annotations

from tui import config as configuration
from tui.command.driven import DONE
from tui.output import print_message, say
from tui.text import safe


def config() -> int:
    """Print the configuration of the screen, theme and keys, and check it. Its path goes to stderr.

    Names of panes and actions are those of docs/keys.md. A key is a character or a name such as f9 or ctrl+t.
    """
    file = configuration.path()
    print_message(f"{file}{'' if file.exists() else ' (does not exist yet; an example:)'}")
    found = file.read_text("utf-8", "replace") if file.exists() else configuration.EXAMPLE
    say(safe(found).rstrip("\n"))
    configuration.read()
    return DONE
