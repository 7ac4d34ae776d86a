"""Hints name terms that the glossary has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from stage import shown, shows, until

import tui
from engine.lab.glossary import TERMS, page
from tui.app import LabApp
from tui.hints import definition, read
from tui.lab.pane import LabPane

KINDS = {"Hint", "Row"}


def _terms(path: Path) -> list[str]:
    """The fourth argument, or ``term``, of every hint that a module makes."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id in KINDS:
            given = [*call.args[3:4], *(one.value for one in call.keywords if one.arg == "term")]
            found += [str(one.value) for one in given if isinstance(one, ast.Constant)]
    return found


def test_every_term_of_a_hint_is_in_the_glossary() -> None:
    folder = Path(tui.__path__[0])
    named = {term for file in folder.rglob("*.py") for term in _terms(file)}
    views = [rows for file in folder.rglob("hints.jsonl") for rows in read(file).values()]
    named |= {row.term for rows in views for row in rows}
    named -= {""}
    assert len(named) > 20
    assert not named - TERMS.keys()
    for term in named:
        assert TERMS[term].definition in definition(term)
        assert TERMS[term].source in definition(term)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_glossary_can_be_read_to_its_end(size: tuple[int, int]) -> None:
    app = LabApp(pane="lab")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.query(LabPane) and app.query_one(LabPane).lab is not None)
        await pilot.press("g")
        await shows(pilot, "accuracy", page()[0].source[:20])
        await pilot.press("end")
        await shows(pilot, page()[-1].name)
        assert page()[-1].source[:20] in shown(app)
