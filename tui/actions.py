"""Everything a user can do, once: key bindings, footer, palette, help and README are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """One thing to do. ``shown`` puts it into the footer.

    ``where`` is the pane it belongs to, which carries it out, or ``everywhere``: then the app does.
    """

    name: str
    keys: tuple[str, ...]
    title: str
    help: str
    where: str = "everywhere"
    shown: bool = False

    @property
    def target(self) -> str:
        """The action as a binding names it."""
        return f"app.{self.name}" if self.where == "everywhere" else self.name

    @property
    def key_text(self) -> str:
        """The keys as people write them."""
        return " ".join(_NAMES.get(key, key.upper() if key.startswith("f") and key[1:] else key) for key in self.keys)


_NAMES = {
    "left": "←",
    "right": "→",
    "escape": "Esc",
    "enter": "Enter",
    "delete": "Del",
    "home": "Home",
    "end": "End",
    "ctrl+q": "Ctrl+Q",
    "ctrl+p": "Ctrl+P",
    "ctrl+c": "Ctrl+C",
    "question_mark": "?",
}

ACTIONS: tuple[Action, ...] = (
    Action("help", ("f1", "question_mark"), "Help", "Keys, what the screen shows, where runs live.", shown=True),
    Action("start", ("f5",), "Start", "Train with what the form says; in Tokens and Generate: complete.", shown=True),
    Action("pause", ("f6",), "Pause", "Pause the work, or let it go on. The model stays loaded.", shown=True),
    Action("stop", ("f7",), "Stop", "Save the run and end it, exactly resumable; end a completion.", shown=True),
    Action("sample", ("f8",), "Sample", "Sample now, with a prompt of your own; in Generate: once more.", shown=True),
    Action("next_pane", ("f2",), "Pane", "The next pane, also from inside a text."),
    Action("show_pane('train')", ("1",), "Train", "The Train pane: form, curve, sample."),
    Action("show_pane('runs')", ("7",), "Runs", "The Runs pane: every run there is."),
    Action("form", ("n",), "New run", "Show the form, or go back to the run.", "train", True),
    Action("defaults", ("u",), "Defaults", "The form as it comes, without what you set or started last.", "train"),
    Action("save", ("w",), "Save", "Write a checkpoint now and keep it for good.", "train"),
    Action("learning_rate", ("l",), "Rate", "Change the learning rate of the run while it trains.", "train", True),
    Action("log", ("g",), "Log", "Loss axis linear or logarithmic.", "train", True),
    Action("smoothing", ("s",), "Smooth", "Smoothing of the curve: none, 0.6, 0.9, 0.98.", "train"),
    Action("cursor(-1)", ("left",), "Back", "Walk back along the curve: values and sample of that step.", "train"),
    Action("cursor(1)", ("right",), "Forward", "Walk forward along the curve.", "train"),
    Action("cursor_first", ("home",), "First", "Cursor to the first sample.", "train"),
    Action("cursor_off", ("escape", "end"), "Now", "Cursor away: show what happens now.", "train"),
    Action("open", ("enter",), "Open", "Show the run, live when a process trains it.", "runs", True),
    Action("resume", ("r",), "Resume", "Go on from the newest checkpoint, exactly.", "runs", True),
    Action("again", ("c",), "Copy", "The form with this run's values, for a new run.", "runs", True),
    Action("export", ("x",), "Export", "Write it as a folder that transformers loads.", "runs", True),
    Action("delete", ("delete", "d"), "Delete", "Remove the run and all its checkpoints; asks first.", "runs", True),
    Action("theme", ("t",), "Theme", "Next theme: dark, light, 16 colours."),
    Action("doctor", ("f12",), "Doctor", "Versions, device, terminal and paths."),
    Action("command_palette", ("ctrl+p",), "Palette", "Find any of these by name."),
    Action("leave", ("q", "ctrl+q", "ctrl+c"), "Quit", "Leave. A run that trains is asked about.", shown=True),
)


def bindings(where: str) -> list[BindingType]:
    """Textual's bindings for the actions of one pane, or of everywhere."""
    made: list[BindingType] = []
    for action in ACTIONS:
        if action.where != where:
            continue
        for number, key in enumerate(action.keys):
            everywhere = key.startswith("f") and key[1:].isdigit()
            made.append(
                Binding(
                    key,
                    action.target,
                    action.title,
                    show=action.shown and number == 0,
                    key_display=action.key_text.split()[0] if number == 0 else None,
                    priority=everywhere or key in ("ctrl+q", "ctrl+c"),
                    tooltip=action.help,
                    id=f"{action.name}/{key}",
                )
            )
    return made


def markdown() -> str:
    """The table of keys for README."""
    lines = ["| key | what it does | where |", "|---|---|---|"]
    lines += [f"| {a.key_text} | **{a.title}**: {a.help} | {a.where} |" for a in ACTIONS]
    return "\n".join(lines)


def table(where: str | None = None) -> list[tuple[str, str, str]]:
    """``(keys, title, help)`` of the actions of one pane, or of all."""
    return [(a.key_text, a.title, a.help) for a in ACTIONS if where is None or a.where == where]
