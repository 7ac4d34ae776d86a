"""The README of an exported model: lines of Python that use it, data, figures and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.run import Run


@dataclass(frozen=True)
class ModelCard:
    """What differs between the models that are exported."""

    title: str
    tags: Mapping[str, str]
    """for the Hugging Face Hub"""
    code: str
    """Python that is to be run in the exported folder"""
    data: Sequence[tuple[str, Sequence[str]]]
    """facts of the data set, each with what belongs to it"""
    judged: str
    """what the figures are of"""
    method: str
    """whose figures are those of the model"""
    columns: Mapping[str, str]
    """figures in ``results.json``, and how the table calls them; those that no method has are left out"""

    def write(self, run: Run, spec: Any, folder: Path) -> None:
        """Write ``README.md`` into ``folder``; ``spec`` is that of ``run``. Raises :class:`OSError`."""
        settings = {name: without_folder(value) for name, value in asdict(spec).items()}
        facts = [("data set", [settings["data"]]), *self.data]
        lines = [
            "---",
            *(f"{name}: {value}" for name, value in self.tags.items()),
            "---",
            f"# {self.title}",
            "",
            f"Exported by llmlab-tui from the run {_inline(run.name)}. In this folder:",
            "",
            "```python",
            f"{self.code.strip()}\n```",
            "",
            "## Data",
            "",
            *(f"- {name}: {', '.join(map(_inline, entries))}" for name, entries in facts if entries),
            "",
            "## Figures",
            "",
            *self._figures(run),
            "",
            "## Settings",
            "",
            "```json",
            json.dumps(settings, indent=1),
            "```",
            "",
        ]
        (folder / "README.md").write_text("\n".join(lines), "utf-8", "replace")

    def _figures(self, run: Run) -> list[str]:
        """A table of every method, the exported one in bold."""
        results = {name: one for name, one in run.read_json("results.json").items() if isinstance(one, dict)}
        known = {key for one in results.values() for key, value in one.items() if value not in (None, "")}
        shown = {key: title for key, title in self.columns.items() if key in known}
        if not shown:
            return ["The figures of the run cannot be read."]
        lines = [f"On {self.judged}:", "", _row(("method", *shown.values())), "|---" * (len(shown) + 1) + "|"]
        for name, one in results.items():
            named = f"**{name}**" if name == self.method else name
            lines.append(_row((named, *(_cell(one.get(key)) for key in shown))))
        return lines


def _inline(text: Any) -> str:
    """Text of users and data as a piece of code in a line: it can end neither the code, nor the line, nor a cell."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in str(text))
    return "`" + (shown.replace("`", "'").replace("|", "/").strip() or "·") + "`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    """A figure, the ends of an interval, or text."""
    match value:
        case float():
            return f"{value:.4f}"
        case int():
            return f"{value:,}"
        case [float() | int() as low, float() | int() as high]:
            return f"{low:.4f} to {high:.4f}"
        case str() if value:
            return _inline(value)
        case _:
            return "–"


def without_folder(value: Any) -> Any:
    """A setting without the folders of the machine that the run was on."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
