"""README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from engine.gpt import GPT
from engine.spec import PRESETS, build
from tui.actions import markdown

README = Path(__file__).parents[2] / "README.md"


def test_the_keys_in_readme_are_those_of_the_program() -> None:
    assert f"<!-- keys -->\n{markdown()}\n<!-- /keys -->" in README.read_text("utf-8")


def test_the_parameters_in_readme_are_those_of_the_presets() -> None:
    text = README.read_text("utf-8")
    for name in PRESETS:
        model = GPT(build({"preset": name}, preset_for_auto="nano").model(72))
        told = re.search(rf"^\| `{name}` \|.*\| ([\d,]+) \|$", text, re.MULTILINE)
        assert told is not None
        assert int(told[1].replace(",", "")) == sum(parameter.numel() for parameter in model.parameters())


def test_every_picture_in_readme_is_there_and_comes_from_the_program() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text("utf-8"))
    assert len(pictures) >= 4
    for picture in pictures:
        assert "llmlab" in (README.parent / picture).read_text("utf-8")
