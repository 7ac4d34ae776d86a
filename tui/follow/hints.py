"""What F1 explains in the panes that compare methods: columns of tables, and figures in lines.

The figures are those that are drawn: cells that tables drew, and what stands among certain words of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tui.follow.comparison_story import CompareStory
from tui.hints import MISSING, Hint, Row, read
from tui.text import safe
from tui.widgets.line_table import Drawn

_FIGURE = r"\d+(?:,\d{3})*(?:\.\d+)?"
_SHOWN = re.compile(rf"(?:(?<![^\s·(])[+-])?(?<![A-Za-z\d]){_FIGURE}%?")
_MARKS = re.compile(r"[✓✗▸▲▼*▁-▏]")
_PARTS = {
    "": rf"[+-]?{_FIGURE}(?:%| [kMGT]\b)?",
    "time": r"\d+ (?:s|min|h|d)\b(?: \d+ (?:s|min|h)\b)?",
    "words": r"\S.*?",
}
_TEXTS = {"", "method", "class", "query", "question", "text", "label", "suggested"}
"""titles of columns that hold no figures"""
VIEWS = read(Path(__file__).with_suffix(".jsonl"))
"""by task and view; ``form`` is of what stands beside a form, ``around`` of the lines above and below the views"""


class _Values(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return MISSING


def of_view(rows: Sequence[Row], drawn: Sequence[Drawn], text: str, values: Mapping[str, str]) -> list[Hint]:
    """The rows whose figures are drawn: in ``drawn`` rows of tables, or in the ``text`` of the view.

    A row explains the column with its title, else the figure that follows its name. Its sentences may have ``values``,
    and of a column ``{value}``, the cell in the row of the cursor (else in the first that has one), ``{row}``, the
    first cell there, and the others by the titles of their columns.
    """
    own = {row.name for row in rows if not (row.pattern or row.others)} | _TEXTS
    lines = {row.name for row in rows if row.pattern}
    found = []
    for row in rows:
        hint = _column(row, own, drawn, text, values)
        if hint is None and (row.pattern or row.name not in lines):
            hint = _line(row, text, values)
        found += [hint] if hint is not None else []
    return found


def known(story: CompareStory, names: Mapping[str, str], method: str) -> dict[str, str]:
    """What sentences may say of a comparison, and of the method that is looked at."""
    data, best = story.data, story.best
    return {
        "method": names.get(method, method),
        "best": names.get(best.name, best.name) if best is not None else MISSING,
        "top": f"{best.accuracy:.3f}" if best is not None else MISSING,
        "n": f"{data.judged:,}" if data is not None else MISSING,
        "split": safe(data.judged_split, lines=False) if data is not None else MISSING,
    }


def sentences(story: CompareStory, names: Mapping[str, str], method: str, text: str) -> list[Hint]:
    """Of the figures in sentences about results, settings of the method and data, as far as they are drawn."""
    data, result = story.data, story.methods[method].result if method in story.methods else None
    settings = str((result or {}).get("settings"))
    found = [*_sentences("results", story.verdict.split(". "), VERDICT, text)]
    found += _sentences(names.get(method, method), [settings], SETTINGS, text)
    if data is not None:
        found += _sentences(safe(data.data, lines=False), [*data.checks, *data.repairs], CHECKS, text)
    return found


def beside_form(text: str, source: str, checks: Sequence[str]) -> list[Hint]:
    """Of what a look at the data has found; ``source`` and ``checks`` are parts of the ``text``."""
    return [*of_view(VIEWS["form"], (), text, {}), *_sentences(source, checks, CHECKS, text)]


def _sentences(name: str, said: Iterable[str], meaning: str, text: str) -> list[Hint]:
    """One hint about all figures that are drawn of sentences; it begins with the first of them that has any."""
    told = [one for one in said if drawn_of(one, text)]
    shown = dict.fromkeys(figure for one in told for figure in drawn_of(one, text))
    return [Hint(name, tuple(shown), f"{told[0].rstrip('.')}. {meaning}")] if told else []


def drawn_of(said: str, text: str) -> list[str]:
    """The figures of a sentence that stand in ``text``."""
    return [one for one in figures_of(said) if re.search(rf"(?<![\w.]){re.escape(one)}(?!\w)", text)]


def figures_of(*texts: str) -> list[str]:
    """The figures in texts, with sign and ``%``, each once."""
    return list(dict.fromkeys(figure for text in texts for figure in _SHOWN.findall(text)))


def _hint(row: Row, name: str, shown: Iterable[str], values: Mapping[str, str]) -> Hint:
    text = f"{row.figure.format_map(values)} {row.meaning.format_map(values)}"
    return Hint(name, tuple(figures_of(*shown, name)), text.strip(), row.term)


def _column(row: Row, own: set[str], drawn: Sequence[Drawn], text: str, values: Mapping[str, str]) -> Hint | None:
    def explains(title: str) -> bool:
        return title.strip() not in own if row.others else title.strip() == row.name

    cells = [(one, title, one.cells[title]) for one in drawn for title in one.titles if explains(title)]
    cells = [cell for cell in cells if (figures := figures_of(cell[2])) and figures == drawn_of(cell[2], text)]
    if row.pattern or not cells:
        return None
    here, title, value = next((cell for cell in cells if cell[0].here), cells[0])
    told = {"row": next(iter(here.cells.values())), "title": title, "value": value}
    others = {re.sub(r"[^\w %@/-]", "", name).strip(): cell or MISSING for name, cell in here.cells.items()}
    plain = {name: " ".join(_MARKS.sub("", one).split()) for name, one in {**others, **told}.items()}
    shown = [part for _, title, cell in cells for part in (title, cell)]
    return _hint(row, row.name, shown, _Values({**values, **plain}))


def _line(row: Row, text: str, values: Mapping[str, str]) -> Hint | None:
    if row.others:
        return None
    pattern = row.pattern or re.escape(row.name).replace("\\ ", " ") + " {value}"
    pattern = re.sub(r"\{(\w+?):?(time|words|)\}", lambda one: f"(?P<{one[1]}>{_PARTS[one[2]]})", pattern)
    if not (matches := list(re.finditer(pattern.replace(" ", r"\s+"), text))):
        return None
    found = {name: " ".join(value.split()) for name, value in matches[0].groupdict().items() if value}
    shown = [group for one in matches for group in one.groups() if group]
    return _hint(row, found.get("name", row.name), shown, _Values({**values, **found}))


VERDICT = (
    "After the name of a method stand its figure and n, the number of items that it is of. A p-value from 0.05 on, "
    "adjusted for all comparisons that are named (Holm), says that the difference could be chance."
)
SETTINGS = (
    "These are the settings that the method was trained with. What there was to choose, as C, the inverse strength of "
    "the penalty, or the number of epochs, was chosen on data that is not judged."
)
CHECKS = (
    "These are counts of what was found when the data were read: lines with · were left as they are, those with ! "
    "were changed or left out. Test items that are also in train make figures too high."
)
