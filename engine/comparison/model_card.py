"""The README of an exported model: lines of Python that use it, data, figures and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from engine.markdown import code, table, without_folder
from engine.runs.listing import results_of


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
            f"Exported by llmlab-tui from the run {code(run.name)}. In this folder:",
            "",
            "```python",
            f"{self.code.strip()}\n```",
            "",
            "## Data",
            "",
            *(f"- {name}: {', '.join(map(code, entries))}" for name, entries in facts if entries),
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
        results = results_of(run)
        known = {key for one in results.values() for key, value in one.items() if value not in (None, "")}
        shown = {key: title for key, title in self.columns.items() if key in known}
        if not shown:
            return ["The figures of the run cannot be read."]
        rows = [
            (f"**{name}**" if name == self.method else name, *(_cell(one.get(key)) for key in shown))
            for name, one in results.items()
        ]
        return [f"On {self.judged}:", "", *table(("method", *shown.values()), rows)]


def _cell(value: Any) -> Any:
    return code(value) if value and isinstance(value, str) else value
