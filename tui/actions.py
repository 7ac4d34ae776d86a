"""Everything a user can do, once: key bindings, footer, palette, help and docs/keys.md are made from this table."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tui.panes import PANES


@dataclass(frozen=True)
class Action:
    """One thing to do. ``shown`` puts it into the footer.

    ``where`` is the pane it belongs to, which carries it out, or ``everywhere``: then the app does. ``help`` says what
    the method ``action_…`` of that name does.
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
        return " ".join(map(key_name, self.keys))


_NAMES = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "escape": "Esc",
    "delete": "Del",
    "pageup": "PgUp",
    "pagedown": "PgDn",
}
_SHORT = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""names of keys that differ from the names of their characters in Unicode"""


def key_of(character: str) -> str:
    """The key that types a character, as Textual names it: ``a``, ``7``, ``right_square_bracket``."""
    if character.isalnum():
        return character
    name = re.sub("[ -]", "_", unicodedata.name(character, character).lower())
    return _SHORT.get(name, name)


_CHARACTERS = {key_of(character): character for character in string.punctuation}


def key_name(key: str) -> str:
    """A key as it is printed on a keyboard: ``F5``, ``Ctrl+Q``, ``PgUp``, ``[``; a letter alone as it is typed."""
    *modifiers, last = key.split("+")
    character = last if len(last) == 1 else _CHARACTERS.get(last, "")
    plain = character if character > " " and character.isprintable() and not modifiers else last.capitalize()
    return "+".join([*(part.capitalize() for part in modifiers), _NAMES.get(last, plain)])


ACTIONS: list[Action] = [
    Action(
        "help", ("f1", "question_mark"), "Help", "The figures on the screen with their numbers; all keys.", shown=True
    ),
    Action(
        "start",
        ("f5",),
        "Start",
        "Start training or the comparison; in Tokens and Generate: complete.",
        shown=True,
    ),
    Action("pause", ("f6",), "Pause", "Pause or continue; the model stays loaded.", shown=True),
    Action("stop", ("f7",), "Stop", "Stop the run so that it can be resumed, or end a completion.", shown=True),
    Action("sample", ("f8",), "Sample", "Sample now, with your own prompt; in Generate: the next seed.", shown=True),
    Action(
        "back_to_lab", ("f3",), "Lab", "Back to the Lab, from a pane that it opened; also while typing.", shown=True
    ),
    Action("next_pane", ("f2",), "Pane", "Go to the next pane, also while typing."),
    *(Action(f"show_pane('{pane.name}')", (pane.key,), pane.title, pane.help) for pane in PANES),
    Action("resume", ("r", "f5"), "Resume", "Continue a stopped run exactly, a finished one further.", "train", True),
    Action("generate", ("3",), "Generate", "Open the model of this run in Generate.", "train", True),
    Action("form", ("n",), "New run", "Show the form for a new run.", "train", True),
    Action("results", ("n",), "Back", "Return from the form to the run.", "train", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "train", True),
    Action("save", ("w",), "Save", "Save a checkpoint now and keep it.", "train"),
    Action("learning_rate", ("l",), "Rate", "Change the peak learning rate while the run trains.", "train", True),
    Action("log", ("g",), "Log", "Linear or logarithmic loss axis.", "train", True),
    Action("smoothing", ("s",), "Smooth", "Average the batch loss over 5, 20 or 100 steps, or not.", "train"),
    Action("other", ("v",), "Sample", "On a narrow screen: sample instead of the curve, and back.", "train", True),
    Action("cursor(-1)", ("left",), "Back", "Move the cursor back along the curve, to an earlier step.", "train"),
    Action("cursor(1)", ("right",), "Forward", "Move the cursor forward along the curve.", "train"),
    Action("cursor_first", ("home",), "First", "Move the cursor to the first sample.", "train"),
    Action("cursor_off", ("escape", "end"), "Now", "Remove the cursor and show the latest values.", "train"),
    Action("edit", ("e", "enter"), "Edit", "Edit the text; letters are typed into it.", "tokens", True),
    Action("leave_text", ("escape",), "Leave the text", "Letters and digits are keys again.", "tokens", True),
    Action("walk(-1)", ("left",), "Back", "Previous token, with its details.", "tokens"),
    Action("walk(1)", ("right",), "Forward", "Next token, also within a code point.", "tokens"),
    Action("line(-1)", ("up",), "Up", "One row up.", "tokens"),
    Action("line(1)", ("down",), "Down", "One row down.", "tokens"),
    Action("page(-1)", ("pageup",), "Page up", "One page up.", "tokens"),
    Action("page(1)", ("pagedown",), "Page down", "One page down.", "tokens"),
    Action("ends(0)", ("home",), "First", "First token.", "tokens"),
    Action("ends(1)", ("end",), "Last", "Last token.", "tokens"),
    Action("card", ("space",), "Details", "All details of the token, on a separate page.", "tokens"),
    Action("lab", ("l",), "Lab", "The lab's five examples, one per line.", "tokens", True),
    Action("english", ("s",), "English", "A page of English.", "tokens", True),
    Action("dante", ("d",), "Dante", "Tercets of the Inferno; bundled verse if it is not cached.", "tokens", True),
    Action("reference", ("f",), "Reference", "Use this text as the reference for the column ref.", "tokens"),
    Action("next_vocabulary", ("k",), "Vocabulary", "Select the next vocabulary for the details.", "tokens", True),
    Action("add", ("a",), "Add", "Add a vocabulary.", "tokens", True),
    Action("remove", ("z",), "Remove", "Remove the selected vocabulary.", "tokens"),
    Action("search", ("v", "slash"), "Search", "Search in the vocabulary.", "tokens", True),
    Action("ids", ("i",), "Ids", "Show or hide the ids under the tokens.", "tokens"),
    Action("marks", ("w",), "Spaces", "Show or hide spaces and tabs.", "tokens"),
    Action("open_file", ("o",), "Open", "Open a text file in the editor.", "tokens"),
    Action("save_ids", ("x",), "Save", "Save text, ids and offsets as JSON.", "tokens"),
    Action("copy_ids", ("c",), "Copy ids", "Copy all ids to the clipboard and to a file.", "tokens"),
    Action("copy_tensor", ("y",), "Copy tensor", "Copy the tensor to the clipboard and to a file.", "tokens"),
    Action("edit", ("e",), "Write", "Edit the text; Esc or F5 leaves the editor.", "generate", True),
    Action("take(True)", ("enter",), "Pick", "Pick the selected candidate and continue from there.", "generate", True),
    Action("take(False)", ("space",), "Pick one", "Pick the selected candidate; show the next ones.", "generate"),
    Action("alternative(1)", ("j",), "Next", "Next candidate; Tab focuses candidates, then settings.", "generate"),
    Action("alternative(-1)", ("k",), "Previous", "Previous candidate.", "generate"),
    Action("again", ("r",), "Again", "Repeat the last completion; F8 uses the next seed.", "generate", True),
    Action("undo", ("u",), "Undo", "Undo the last change of the text.", "generate", True),
    Action("redo", ("U",), "Redo", "Redo the change.", "generate"),
    Action("branch(1)", ("right_square_bracket",), "Branch", "Next branch at the nearest fork.", "generate", True),
    Action("branch(-1)", ("left_square_bracket",), "Back", "Previous branch.", "generate"),
    Action("models", ("m",), "Model", "Choose the model: bundled, gpt2, a run, any name or path.", "generate", True),
    Action("chat", ("c",), "Chat", "Put the prompt into the model's chat template, or take it out.", "generate", True),
    Action("system", ("s",), "System", "The system message of the chat template.", "generate"),
    Action("sweep", ("w",), "Sweep", "Compare greedy and several temperatures on the prompt.", "generate", True),
    Action("ab", ("a",), "A/B", "Compare two settings with the same random numbers.", "generate"),
    Action("several", ("n",), "Several", "Draw several samples, each with its own seed.", "generate"),
    Action("open_text", ("o",), "Open", "Open a text file as the prompt.", "generate"),
    Action("save_text", ("x",), "Save", "Save the text to a file.", "generate"),
    Action("copy", ("y",), "Copy", "Copy the text to the terminal's clipboard and to a file.", "generate"),
    Action("walk(-1)", ("left",), "Back", "Previous token.", "generate"),
    Action("walk(1)", ("right",), "Forward", "Next token.", "generate"),
    Action("line(-1)", ("up",), "Up", "One line up.", "generate"),
    Action("line(1)", ("down",), "Down", "One line down.", "generate"),
    Action("page(-1)", ("pageup",), "Page up", "One page up.", "generate"),
    Action("page(1)", ("pagedown",), "Page down", "One page down.", "generate"),
    Action("line_start", ("home",), "Start", "Go to the start of the line, then of the text.", "generate"),
    Action("text_end", ("end",), "End", "Go to the end of the text, where a completion continues.", "generate"),
    Action(
        "walk_mode",
        ("escape",),
        "Leave the text",
        "Leave the editor or the comparison: letters and digits are keys again, 1 to 8 change panes.",
        "generate",
        True,
    ),
    Action("resume", ("f5",), "Resume", "Continue a stopped run; finished methods are reused.", "classify", True),
    Action("form", ("n",), "New run", "Show the form for a new run.", "classify", True),
    Action("results", ("n",), "Back", "Return from the form to the run.", "classify", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "classify", True),
    Action("view('overview')", ("a",), "All", "Methods: figures, intervals, McNemar's test, losses.", "classify", True),
    Action("view('matrix')", ("m",), "Matrix", "Confusion matrix; arrows select a cell.", "classify", True),
    Action("view('classes')", ("c",), "Classes", "Precision, recall and F1 of every class.", "classify"),
    Action("view('calibration')", ("k",), "Calibration", "Confidence against accuracy.", "classify"),
    Action("view('labels')", ("l",), "Labels", "Accuracy by number of labels per class.", "classify"),
    Action("view('suspects')", ("s",), "Suspects", "Training rows whose label is probably wrong.", "classify", True),
    Action("view('map')", ("p",), "Map", "Test texts by their features in two dimensions.", "classify"),
    Action("view('sentence')", ("e",), "Try", "Type a sentence: every method classifies it.", "classify", True),
    Action("method(1)", ("r",), "Method", "Show the next method in the views.", "classify", True),
    Action("read", ("enter",), "Texts", "Read the texts of the cell, and back.", "classify"),
    Action("back", ("escape",), "Back", "Leave the texts or the sentence, then back to all methods.", "classify", True),
    Action("walk(-1,0)", ("up",), "Up", "One row up.", "classify"),
    Action("walk(1,0)", ("down",), "Down", "One row down.", "classify"),
    Action("walk(0,-1)", ("left",), "Left", "One cell to the left, or the previous method.", "classify"),
    Action("walk(0,1)", ("right",), "Right", "One cell to the right, or the next method.", "classify"),
    Action("page(-1)", ("pageup",), "Page up", "Ten rows up.", "classify"),
    Action("page(1)", ("pagedown",), "Page down", "Ten rows down.", "classify"),
    Action("open_run", ("o",), "Open", "Open an earlier classification.", "classify", True),
    Action("export", ("x",), "Export", "Export the trained classifier; in Suspects the rows as CSV.", "classify"),
    Action("resume", ("r", "f5"), "Resume", "Continue a stopped run; finished methods are reused.", "choose", True),
    Action("form", ("n",), "New run", "Show the form for a new run.", "choose", True),
    Action("results", ("n",), "Back", "Return from the form to the run.", "choose", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "choose", True),
    Action("view('overview')", ("a",), "All methods", "Figures, controls, margins and losses.", "choose", True),
    Action("view('items')", ("i",), "Questions", "Evaluated questions with the scores of all methods.", "choose", True),
    Action("view('own')", ("e",), "Your own", "Your own question, ranked as you type.", "choose", True),
    Action("read", ("enter",), "Read", "Show the selected question alone, or beside the list.", "choose", True),
    Action("filter", ("f",), "Filter", "Filter the questions: all, wrong, right or disagreement.", "choose", True),
    Action("sort", ("s",), "Sort", "Sort: worst, closest or most confident first, or data order.", "choose", True),
    Action("method(1)", ("m",), "Method", "Show the next method in the views.", "choose", True),
    Action("method(-1)", ("M",), "Back", "Show the previous method in the views.", "choose"),
    Action("back", ("escape",), "Back", "Leave the text fields, then back to all methods.", "choose", True),
    Action("walk(-1)", ("up", "k"), "Up", "Previous question or method.", "choose"),
    Action("walk(1)", ("down", "j"), "Down", "Next question or method.", "choose"),
    Action("page(-1)", ("pageup",), "Page up", "Ten questions up.", "choose"),
    Action("page(1)", ("pagedown",), "Page down", "Ten questions down.", "choose"),
    Action("ends(0)", ("home",), "First", "First question.", "choose"),
    Action("ends(1)", ("end",), "Last", "Last question.", "choose"),
    Action("open_run", ("o",), "Open", "Open an earlier run of Choose.", "choose", True),
    Action("export", ("x",), "Export", "Export the fine-tuned encoder and its head as a folder.", "choose"),
    Action("search", ("slash", "e"), "Search", "Focus the search box; letters are typed into it.", "retrieve", True),
    Action(
        "back", ("escape",), "Back", "Leave the search box or the document, then back to the search.", "retrieve", True
    ),
    Action("view('search')", ("s",), "Columns", "Rankings of the query, side by side.", "retrieve"),
    Action("view('figures')", ("a",), "Figures", "All methods: measures, intervals, speed, losses.", "retrieve", True),
    Action("view('gains')", ("g",), "Gains", "Judged queries by gain of one method over another.", "retrieve", True),
    Action(
        "view('batch')",
        ("m",),
        "Batch",
        "Cosines within the batch; own documents on the diagonal.",
        "retrieve",
        True,
    ),
    Action("view('map')", ("p",), "Map", "Documents by their features in two dimensions.", "retrieve"),
    Action("jump(1)", ("right_square_bracket", "j"), "Next query", "Next query by gain.", "retrieve", True),
    Action("jump(-1)", ("left_square_bracket", "k"), "Previous query", "Previous query by gain.", "retrieve"),
    Action("pair(0)", ("c",), "Method", "Change the middle column, or the first of the pair.", "retrieve", True),
    Action("pair(1)", ("v",), "Other", "Change the second method of the pair.", "retrieve"),
    Action("read", ("enter",), "Read", "Read the document, or show the query in the columns.", "retrieve", True),
    Action("walk(-1,0)", ("up",), "Up", "One row up.", "retrieve"),
    Action("walk(1,0)", ("down",), "Down", "One row down.", "retrieve"),
    Action("walk(0,-1)", ("left",), "Left", "One column to the left.", "retrieve"),
    Action("walk(0,1)", ("right",), "Right", "One column to the right.", "retrieve"),
    Action("page(-1)", ("pageup",), "Page up", "Ten rows up.", "retrieve"),
    Action("page(1)", ("pagedown",), "Page down", "Ten rows down.", "retrieve"),
    Action("resume", ("r", "f5"), "Resume", "Continue a stopped run; finished methods are reused.", "retrieve", True),
    Action("form", ("n",), "New run", "Show the form for a new run.", "retrieve", True),
    Action("results", ("n",), "Back", "Return from the form to the run.", "retrieve", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "retrieve", True),
    Action("open_run", ("o",), "Open", "Open an earlier run of Retrieve.", "retrieve", True),
    Action("rankings", ("x",), "Rankings", "Save the rankings of judged queries as TREC run files.", "retrieve"),
    Action("export", ("X",), "Export", "Export the bi-encoder as a folder for sentence-transformers.", "retrieve"),
    Action("open", ("enter",), "Open", "Show the run, live while it is running.", "runs", True),
    Action("compare", ("v",), "Compare", "The marked runs beside each other: curves, settings, figures.", "runs", True),
    Action("mark", ("space",), "Mark", "Mark the run or unmark it, for Compare, the plot and Delete.", "runs", True),
    Action("filter", ("slash",), "Filter", "Show only runs that have the words and figures typed.", "runs", True),
    Action("sort", ("s",), "Sort", "Order the runs by age, best figure, name, task, state or steps.", "runs", True),
    Action("clear", ("escape",), "All", "Clear the filter.", "runs", True),
    Action("losses", ("l",), "Losses", "On a narrow screen: show or hide the plot of the marked trainings.", "runs"),
    Action("resume", ("r",), "Resume", "Training continues exactly; comparisons reuse finished parts.", "runs", True),
    Action("queue('up')", ("left_square_bracket",), "Earlier", "Let the queued run start earlier.", "runs"),
    Action("queue('down')", ("right_square_bracket",), "Later", "Let the queued run start later.", "runs"),
    Action("queue('first')", ("left_curly_bracket",), "Next", "Let the queued run start next.", "runs"),
    Action("queue('cancel')", ("k",), "Cancel", "Take the run out of the queue.", "runs", True),
    Action("again", ("c",), "Copy", "Open the form with the settings of this run, for a new run.", "runs", True),
    Action("export", ("x",), "Export", "Export as a folder that transformers loads.", "runs", True),
    Action("metrics", ("X",), "Metrics", "Export metrics as CSV, JSON lines, Parquet or for TensorBoard.", "runs"),
    Action("report", ("o",), "Report", "Write a page of Markdown with curves, samples, settings and commands.", "runs"),
    Action("branch", ("b",), "Branch", "A new run from a checkpoint of this training, with changed settings.", "runs"),
    Action("rename", ("e",), "Rename", "Give the run a title; its directory keeps its name.", "runs"),
    Action("tags", ("g",), "Tags", "Set the tags of the run; a filter finds them.", "runs"),
    Action("note", ("m",), "Note", "Write a note about the run.", "runs"),
    Action("pin", ("p",), "Pin", "Pin the run, such as a baseline, to the top; or take the pin off.", "runs"),
    Action("delete", ("delete", "d"), "Delete", "Delete the run or the marked ones; asks first.", "runs", True),
    Action("restore", ("u",), "Restore", "Restore the run that was deleted last, within a week.", "runs"),
    Action("do", ("enter",), "Do it", "Do the step: start or resume its run, measure, guess or write.", "lab", True),
    Action("open", ("space",), "Open", "Open the pane concerned with what is there, without starting.", "lab", True),
    Action("write", ("e",), "Write", "Write your answer to the exercise.", "lab", True),
    Action("own", ("o",), "Your texts", "Texts of your own for exercise 2.1, one a line.", "lab", True),
    Action("report", ("x",), "Report", "Write the report: your answers, tables, curves, claims.", "lab", True),
    Action("settings", ("d",), "Data", "The data and models of the exercises, or back from them.", "lab", True),
    Action(
        "quick", ("f",), "Quick", "Change to the quick lab with smaller runs, or back to the full one.", "lab", True
    ),
    Action("glossary", ("g",), "Glossary", "The terms of the field, what each means here, and a source.", "lab"),
    Action("step(-1)", ("up", "k"), "Up", "Previous step.", "lab"),
    Action("step(1)", ("down", "j"), "Down", "Next step.", "lab"),
    Action("exercise(-1)", ("left",), "Left", "First step of the previous exercise.", "lab"),
    Action("exercise(1)", ("right",), "Right", "First step of the next exercise.", "lab"),
    Action("page(-1)", ("pageup",), "Page up", "Scroll the text up.", "lab"),
    Action("page(1)", ("pagedown",), "Page down", "Scroll the text down.", "lab"),
    Action("theme", ("t",), "Theme", "Next theme: dark, light, 16 colours."),
    Action("doctor", ("f12",), "Doctor", "Versions, device, terminal and paths."),
    Action(
        "copy_text", ("f4",), "Copy", "Copy the text selected with the mouse, or the focused panel, to the clipboard."
    ),
    Action("screenshot", ("f9",), "Screenshot", "Save the screen as an SVG picture."),
    Action("repaint", ("ctrl+l",), "Repaint", "Redraw the screen, after another program has written on it."),
    Action("command_palette", ("ctrl+p",), "Palette", "Find any action by name."),
    Action("leave", ("q", "ctrl+q", "ctrl+c"), "Quit", "Quit; asks if a run is training.", shown=True),
]


def use(keys: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
    """Give actions other keys: by pane and name. Before any pane is imported, whose bindings are made once."""
    ACTIONS[:] = [replace(one, keys=keys.get(one.where, {}).get(one.name, one.keys)) for one in ACTIONS]


def views(where: str) -> tuple[tuple[str, str, str], ...]:
    """Name, key and title of every view of a pane, in order."""
    found = [one for one in ACTIONS if one.where == where and one.name.startswith("view(")]
    return tuple((one.name.split("'")[1], one.keys[0], one.title) for one in found)


def proposals(where: str, told: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keys and what they do, for an empty view: ``told`` has names of actions of a pane or of everywhere."""
    keys = {one.name: key_name(one.keys[0]) for one in reversed(ACTIONS) if one.where in (where, "everywhere")}
    return [(keys[name], text) for name, text in told]


def table(where: str | None = None) -> list[tuple[str, str, str]]:
    """``(keys, title, help)`` of the actions of one pane, or of all."""
    return [(a.key_text, a.title, a.help) for a in ACTIONS if where is None or a.where == where]
