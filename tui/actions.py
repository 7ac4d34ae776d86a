"""Everything a user can do, once: key bindings, footer, palette, help and docs/keys.md are made from this table."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
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
    Action("help", ("f1", "question_mark"), "Help", "Keys, what the screen shows, where runs live.", shown=True),
    Action(
        "start",
        ("f5",),
        "Start",
        "Train, or run what the form of Classify, Choose or Retrieve says; in Tokens and Generate: complete.",
        shown=True,
    ),
    Action("pause", ("f6",), "Pause", "Pause the work, or let it go on. The model stays loaded.", shown=True),
    Action("stop", ("f7",), "Stop", "End the run so that it can be resumed; end a completion.", shown=True),
    Action("sample", ("f8",), "Sample", "Sample now, with a prompt of your own; in Generate: once more.", shown=True),
    Action("next_pane", ("f2",), "Pane", "The next pane, also from inside a text."),
    *(Action(f"show_pane('{pane.name}')", (pane.key,), pane.title, pane.help) for pane in PANES),
    Action(
        "resume",
        ("r", "f5"),
        "Resume",
        "Continue the stopped run exactly; a finished one to a later step.",
        "train",
        True,
    ),
    Action("generate", ("3",), "Generate", "Complete texts with the model of this run, in Generate.", "train", True),
    Action("form", ("n",), "New run", "The form, for a new run.", "train", True),
    Action("results", ("n",), "Back", "From the form to the run that is shown.", "train", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "train", True),
    Action("save", ("w",), "Save", "Write a checkpoint now and keep it for good.", "train"),
    Action("learning_rate", ("l",), "Rate", "Change the learning rate of the run while it trains.", "train", True),
    Action("log", ("g",), "Log", "Loss axis linear or logarithmic.", "train", True),
    Action("smoothing", ("s",), "Smooth", "Batch loss averaged over 5, 20 or 100 steps, or not shown.", "train"),
    Action("other", ("v",), "Sample", "On a narrow screen the sample in place of the curve, and back.", "train", True),
    Action("cursor(-1)", ("left",), "Back", "Walk back along the curve: values and sample of that step.", "train"),
    Action("cursor(1)", ("right",), "Forward", "Walk forward along the curve.", "train"),
    Action("cursor_first", ("home",), "First", "Cursor to the first sample.", "train"),
    Action("cursor_off", ("escape", "end"), "Now", "Cursor away: show what happens now.", "train"),
    Action("edit", ("e", "enter"), "Edit", "Into the text; letters are typed there.", "tokens", True),
    Action(
        "leave_text", ("escape",), "Leave the text", "Letters and digits are keys again: 1 to 7 panes.", "tokens", True
    ),
    Action("walk(-1)", ("left",), "Back", "The token before, with its card.", "tokens"),
    Action("walk(1)", ("right",), "Forward", "The next token, also within a code point.", "tokens"),
    Action("line(-1)", ("up",), "Up", "A row up.", "tokens"),
    Action("line(1)", ("down",), "Down", "A row down.", "tokens"),
    Action("page(-1)", ("pageup",), "Page up", "A screen of rows up.", "tokens"),
    Action("page(1)", ("pagedown",), "Page down", "A screen of rows down.", "tokens"),
    Action("ends(0)", ("home",), "First", "The first token.", "tokens"),
    Action("ends(1)", ("end",), "Last", "The last token.", "tokens"),
    Action("card", ("space",), "Card", "All that is known about the token, on a page of its own.", "tokens"),
    Action("lab", ("l",), "Lab", "The lab's five examples, a line each.", "tokens", True),
    Action("english", ("s",), "English", "A page of English.", "tokens", True),
    Action("dante", ("d",), "Dante", "Some tercets of the corpus at hand.", "tokens", True),
    Action("reference", ("f",), "Reference", "Measure other texts against this one.", "tokens"),
    Action("next_vocabulary", ("k",), "Vocabulary", "Card and arrows go to the next vocabulary.", "tokens", True),
    Action("add", ("a",), "Add", "Another vocabulary beside the others.", "tokens", True),
    Action("remove", ("z",), "Remove", "Take a vocabulary away.", "tokens"),
    Action("search", ("v", "slash"), "Search", "Search in the vocabulary.", "tokens", True),
    Action("ids", ("i",), "Ids", "Ids under the spans, or not.", "tokens"),
    Action("marks", ("w",), "Spaces", "Spaces and tabs visible, or not.", "tokens"),
    Action("open_file", ("o",), "Open", "A text file into the editor.", "tokens"),
    Action("save_ids", ("x",), "Save", "Text, ids and offsets as JSON.", "tokens"),
    Action("copy_ids", ("c",), "Copy ids", "All ids to the clipboard, and into a file.", "tokens"),
    Action("copy_tensor", ("y",), "Copy tensor", "The tensor to the clipboard, and into a file.", "tokens"),
    Action("edit", ("e",), "Write", "Write the text; Esc or F5 leaves the editor.", "generate", True),
    Action("take(True)", ("enter",), "Take", "Take the picked candidate and go on from there.", "generate", True),
    Action("take(False)", ("space",), "Take one", "Take the picked candidate and look what could follow.", "generate"),
    Action(
        "alternative(1)", ("j",), "Next", "Pick the next candidate; Tab goes to them, and to the settings.", "generate"
    ),
    Action("alternative(-1)", ("k",), "Before", "Pick the candidate before.", "generate"),
    Action(
        "again", ("r",), "Again", "The last completion again with the same seed; F8: the next seed.", "generate", True
    ),
    Action("undo", ("u",), "Undo", "Back to before the last change of the text.", "generate", True),
    Action("redo", ("U",), "Redo", "Forward again.", "generate"),
    Action("branch(1)", ("right_square_bracket",), "Branch", "The next branch at the nearest fork.", "generate", True),
    Action("branch(-1)", ("left_square_bracket",), "Back", "The branch before.", "generate"),
    Action(
        "models",
        ("m",),
        "Model",
        "Choose the model: bundled, smollm2, gpt2, a run, any name or path.",
        "generate",
        True,
    ),
    Action("sweep", ("w",), "Sweep", "The prompt under greedy and a ladder of temperatures.", "generate", True),
    Action("ab", ("a",), "A/B", "Two settings on common random numbers.", "generate"),
    Action("several", ("n",), "Several", "Several samples, each with its own seed.", "generate"),
    Action("open_text", ("o",), "Open", "A text file as the prompt.", "generate"),
    Action("save_text", ("x",), "Save", "The text into a file.", "generate"),
    Action("copy", ("y",), "Copy", "The text to the terminal's clipboard, and into a file.", "generate"),
    Action("walk(-1)", ("left",), "Back", "The token before.", "generate"),
    Action("walk(1)", ("right",), "Forward", "The next token.", "generate"),
    Action("line(-1)", ("up",), "Up", "A line up.", "generate"),
    Action("line(1)", ("down",), "Down", "A line down.", "generate"),
    Action("page(-1)", ("pageup",), "Page up", "A page up.", "generate"),
    Action("page(1)", ("pagedown",), "Page down", "A page down.", "generate"),
    Action("line_start", ("home",), "Start", "To the start of the line, then of the text.", "generate"),
    Action("text_end", ("end",), "End", "To the end of the text, where a completion goes on.", "generate"),
    Action(
        "walk_mode",
        ("escape",),
        "Leave the text",
        "From the editor or a comparison to the tokens: letters and digits are keys again, 1 to 7 panes.",
        "generate",
        True,
    ),
    Action("resume", ("f5",), "Resume", "Continue a stopped run; finished methods are reused.", "classify", True),
    Action("form", ("n",), "New run", "The form, for a new run.", "classify", True),
    Action("results", ("n",), "Back", "From the form to the run that is shown.", "classify", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "classify", True),
    Action(
        "view('overview')", ("a",), "All", "All methods: figures, intervals, McNemar's test, losses.", "classify", True
    ),
    Action("view('matrix')", ("m",), "Matrix", "Confusion matrix; arrows choose a cell.", "classify", True),
    Action("view('classes')", ("c",), "Classes", "Precision, recall and F1 of every class.", "classify"),
    Action("view('calibration')", ("k",), "Calibration", "Confidence against accuracy.", "classify"),
    Action("view('labels')", ("l",), "Labels", "Accuracy by the number of labels of each class.", "classify"),
    Action("view('suspects')", ("s",), "Suspects", "Training rows whose label is doubted.", "classify", True),
    Action("view('map')", ("p",), "Map", "Test texts by their features in two dimensions; arrows walk.", "classify"),
    Action("view('sentence')", ("e",), "Try", "Type a sentence: every method answers.", "classify", True),
    Action("method(1)", ("r",), "Method", "The views show the next method.", "classify", True),
    Action("read", ("enter",), "Texts", "Walk over the texts of the cell, and back.", "classify"),
    Action("back", ("escape",), "Back", "Out of the texts, out of the sentence, to all methods.", "classify"),
    Action("walk(-1,0)", ("up",), "Up", "A row up.", "classify"),
    Action("walk(1,0)", ("down",), "Down", "A row down.", "classify"),
    Action("walk(0,-1)", ("left",), "Left", "A cell to the left, or the method before.", "classify"),
    Action("walk(0,1)", ("right",), "Right", "A cell to the right, or the next method.", "classify"),
    Action("page(-1)", ("pageup",), "Page up", "Ten rows up.", "classify"),
    Action("page(1)", ("pagedown",), "Page down", "Ten rows down.", "classify"),
    Action("open_run", ("o",), "Open", "A classifier that was trained before.", "classify", True),
    Action(
        "export",
        ("x",),
        "Export",
        "The trained classifier as a folder, with a README that shows its use; in Suspects its rows as CSV.",
        "classify",
    ),
    Action("resume", ("r", "f5"), "Resume", "Continue a stopped run; finished methods are reused.", "choose", True),
    Action("form", ("n",), "New run", "The form, for a new run.", "choose", True),
    Action("results", ("n",), "Back", "From the form to the run that is shown.", "choose", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "choose", True),
    Action("view('overview')", ("a",), "All methods", "Figures, controls, margins and losses.", "choose", True),
    Action("view('items')", ("i",), "Questions", "The judged questions, with every method's scores.", "choose", True),
    Action("view('own')", ("e",), "Your own", "A question of your own, ranked as you type.", "choose", True),
    Action("read", ("enter",), "Read", "The question under the cursor alone, or beside the others.", "choose", True),
    Action("filter", ("f",), "Filter", "Questions: all, wrong, right, or those with disagreement.", "choose", True),
    Action("sort", ("s",), "Sort", "Worst, closest or most confident first, or as given.", "choose", True),
    Action("method(1)", ("m",), "Method", "The views show the next method.", "choose", True),
    Action("method(-1)", ("M",), "Back", "The method before.", "choose"),
    Action("back", ("escape",), "Back", "Out of the typed lines, then to all methods.", "choose"),
    Action("walk(-1)", ("up", "k"), "Up", "The question, or the method, above.", "choose"),
    Action("walk(1)", ("down", "j"), "Down", "The question, or the method, below.", "choose"),
    Action("page(-1)", ("pageup",), "Page up", "Ten questions up.", "choose"),
    Action("page(1)", ("pagedown",), "Page down", "Ten questions down.", "choose"),
    Action("ends(0)", ("home",), "First", "The first question.", "choose"),
    Action("ends(1)", ("end",), "Last", "The last question.", "choose"),
    Action("open_run", ("o",), "Open", "A ranking that was run before.", "choose", True),
    Action("export", ("x",), "Export", "The fine-tuned encoder and its head as a folder.", "choose"),
    Action("search", ("slash", "e"), "Search", "Into the search box; letters are typed there.", "retrieve", True),
    Action("back", ("escape",), "Back", "Out of the box or a document, then to the search.", "retrieve"),
    Action("view('search')", ("s",), "Columns", "The rankings of what is searched, side by side.", "retrieve"),
    Action("view('figures')", ("a",), "Figures", "All methods: measures, intervals, speed, losses.", "retrieve", True),
    Action("view('gains')", ("g",), "Gains", "Judged queries by what one method gains on another.", "retrieve", True),
    Action(
        "view('batch')", ("m",), "Batch", "Cosines of the batch in training: own on the diagonal.", "retrieve", True
    ),
    Action("view('map')", ("p",), "Map", "Documents by their features in two dimensions; arrows walk.", "retrieve"),
    Action("jump(1)", ("right_square_bracket", "j"), "Next query", "The next query by gain.", "retrieve", True),
    Action("jump(-1)", ("left_square_bracket", "k"), "Query before", "The query before it.", "retrieve"),
    Action("pair(0)", ("c",), "Method", "Another method in the middle column, or first of the pair.", "retrieve", True),
    Action("pair(1)", ("v",), "Other", "Another second method of the pair.", "retrieve"),
    Action("read", ("enter",), "Read", "The document under the cursor, or the query in the columns.", "retrieve", True),
    Action("walk(-1,0)", ("up",), "Up", "A row up.", "retrieve"),
    Action("walk(1,0)", ("down",), "Down", "A row down.", "retrieve"),
    Action("walk(0,-1)", ("left",), "Left", "The column to the left.", "retrieve"),
    Action("walk(0,1)", ("right",), "Right", "The column to the right.", "retrieve"),
    Action("page(-1)", ("pageup",), "Page up", "Ten rows up.", "retrieve"),
    Action("page(1)", ("pagedown",), "Page down", "Ten rows down.", "retrieve"),
    Action("resume", ("r", "f5"), "Resume", "Continue a stopped run; finished methods are reused.", "retrieve", True),
    Action("form", ("n",), "New run", "The form, for a new run.", "retrieve", True),
    Action("results", ("n",), "Back", "From the form to the run that is shown.", "retrieve", True),
    Action("defaults", ("u",), "Defaults", "Reset the form to its defaults.", "retrieve", True),
    Action("open_run", ("o",), "Open", "A retrieval that was run before.", "retrieve", True),
    Action("rankings", ("x",), "Rankings", "The rankings of judged queries as TREC run files.", "retrieve"),
    Action("export", ("X",), "Export", "The bi-encoder as a folder for sentence-transformers.", "retrieve"),
    Action("open", ("enter",), "Open", "Show the run, live when a process trains it.", "runs", True),
    Action(
        "mark", ("space",), "Mark", "Plot the losses of a training with those of others; again: no more.", "runs", True
    ),
    Action("losses", ("v",), "Losses", "On a narrow screen the plot of the marked trainings, or not.", "runs", True),
    Action("resume", ("r",), "Resume", "Go on: a training exactly, a comparison with what it has.", "runs", True),
    Action("again", ("c",), "Copy", "The form with this run's values, for a new run.", "runs", True),
    Action("export", ("x",), "Export", "Write it as a folder that transformers loads.", "runs", True),
    Action("delete", ("delete", "d"), "Delete", "Remove the run and all its checkpoints; asks first.", "runs", True),
    Action("theme", ("t",), "Theme", "Next theme: dark, light, 16 colours."),
    Action("doctor", ("f12",), "Doctor", "Versions, device, terminal and paths."),
    Action("screenshot", ("f9",), "Screenshot", "The screen as a picture, an SVG file."),
    Action("repaint", ("ctrl+l",), "Repaint", "Draw the whole screen again, when something else has written on it."),
    Action("command_palette", ("ctrl+p",), "Palette", "Find any of these by name."),
    Action("leave", ("q", "ctrl+q", "ctrl+c"), "Quit", "Leave. A run that trains is asked about.", shown=True),
]


def use(keys: Mapping[str, Mapping[str, tuple[str, ...]]]) -> None:
    """Give actions other keys: by pane and name. Before any pane is imported, whose bindings are made once."""
    ACTIONS[:] = [replace(one, keys=keys.get(one.where, {}).get(one.name, one.keys)) for one in ACTIONS]


def views(where: str) -> tuple[tuple[str, str, str], ...]:
    """Name, key and title of every view of a pane, in order."""
    found = [one for one in ACTIONS if one.where == where and one.name.startswith("view(")]
    return tuple((one.name.split("'")[1], one.keys[0], one.title) for one in found)


def table(where: str | None = None) -> list[tuple[str, str, str]]:
    """``(keys, title, help)`` of the actions of one pane, or of all."""
    return [(a.key_text, a.title, a.help) for a in ACTIONS if where is None or a.where == where]
