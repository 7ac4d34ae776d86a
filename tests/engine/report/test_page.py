"""Reports, read back by a parser of Markdown, and the commands in them, by the command line itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import journals
import pytest
from markdown_page import cells, parsed

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.gpt.spec import TrainSpec, build
from engine.report.page import command_of, write
from engine.retrieve.spec import RetrieveSpec
from engine.runs import notes
from engine.runs.spec import options
from tui.command import cli

SAMPLE = "```\n# no heading <b>bold</b>\n[link](http://x) | cell\n````\n\x1b[31mred \u202e ~~~"
NAME = "<img src=x>|`[a](b)` *x*\n# y"


@pytest.fixture
def training() -> Run:
    validation = {0: 4.0, 10: 2.5, 20: 2.25, 30: 2.75}
    run = journals.training("verse", [3.0] * 30, validation, steps=30, sample_prompt=NAME, corpus=f"/x/{NAME}")
    lines = run.events.read_text()
    for step, text in ((0, "zero"), (10, SAMPLE), (20, "twenty"), (30, "thirty")):
        told = {"event": "sample_text", "step": step, "sample": str(step), "text": text, "prompt": NAME, "done": True}
        lines += json.dumps(told, separators=(",", ":")) + "\n"
    ended = {"event": "finished", "reason": "<i>odd</i>", "step": 30}
    run.events.write_text(lines + json.dumps(ended, separators=(",", ":")) + "\n")
    run.write_json("corpus.json", {"name": NAME, "source": f"/home/me/{NAME}", "fingerprint": "f00d", "cuts": [NAME]})
    run.write_json("env.json", {"torch": "2.13", NAME: NAME})
    return run


def test_a_training_has_its_curve_figures_samples_data_and_settings(training: Run, tmp_path: Path) -> None:
    notes.change(training, title="<b>Best</b> *run*", tags=("[a](b)",), note=SAMPLE)
    page = write(training, tmp_path / "out", [10, 29])
    tokens = parsed(page)
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "em_open", "s_open"}
    assert [token.attrs["src"] for token in tokens if token.type == "image"] == ["loss.svg"]
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings[1:] == ["Figures", "Losses", "Samples", "Data", "Settings", "Repeat it", "Machine and versions"]
    shown = SAMPLE.replace("\x1b", "·").replace("\u202e", "·") + "\n"
    assert [token.content for token in tokens if token.type == "fence"][:3] == [shown, shown, "twenty\n"]
    text = "".join(token.content for token in tokens if token.type in ("text", "code_inline"))
    assert text.startswith("<b>Best</b> *run*")
    rows = cells(tokens)
    assert ["best validation loss, nats per character", "2.2500", "step 20; –"] in rows
    assert ["20", "–", "2.2500"] in rows
    assert ["SHA-256", "f00d"] in rows
    assert ["seed", "1"] in rows
    assert ["torch", "2.13"] in rows
    assert "/home/me" not in page.read_text()
    assert "/x/" not in page.read_text()
    picture = (page.parent / "loss.svg").read_text()
    assert ElementTree.fromstring(picture).tag.endswith("svg")


def test_without_chosen_steps_the_first_best_and_last_sample_are_shown(training: Run, tmp_path: Path) -> None:
    blocks = [token.content for token in parsed(write(training, tmp_path)) if token.type == "fence"]
    assert blocks[:3] == ["zero\n", "twenty\n", "thirty\n"]


def test_what_else_is_in_the_folder_stays(training: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    page = write(training, tmp_path)
    assert write(training, tmp_path) == page
    page.write_text("my own report")
    with pytest.raises(CheckpointError, match="--out"):
        write(training, tmp_path)
    assert (page.read_text(), (tmp_path / "thesis.txt").read_text()) == ("my own report", "mine")


@pytest.mark.usefixtures("older_runs")
@pytest.mark.parametrize(
    ("name", "measure", "count"),
    [("texts", "accuracy", "rows"), ("questions", "accuracy", "items"), ("documents", "ndcg@10", "queries")],
)
def test_each_comparison_has_its_methods_tests_and_data(name: str, measure: str, count: str, tmp_path: Path) -> None:
    run = Run(home.runs() / name)
    page = write(run, tmp_path / "out")
    tokens = parsed(page)
    rows = cells(tokens)
    for method, one in run.read_json("results.json").items():
        low, high = one["interval"]
        assert [method, f"{one[measure]:.4f}", f"{low:.4f} to {high:.4f}", str(one[count])] in rows
    assert ["first", "second", "difference", "low", "high", "better", "worse", "p", "n"] in rows
    assert any(row[0] == "SHA-256" and len(row[1]) == 64 for row in rows)
    assert not {token.type for token in tokens} & {"html_block", "html_inline", "link_open"}
    assert (page.parent / "methods.svg").is_file()


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    run = journals.training("empty", [], {})
    run.events.write_text("")
    assert "There is no evaluation yet." in write(run, tmp_path).read_text()


@pytest.mark.parametrize(
    ("task", "spec"),
    [
        ("train", TrainSpec(preset="nano")),
        ("train", build({"preset": "fast", "sample-prompt": "a'b\n\\t $HOME", "tied": True}, preset_for_auto="nano")),
        ("train", build({"preset": "karpathy", "steps": 7, "corpus": "my text.txt"}, preset_for_auto="nano")),
        ("classify", ClassifySpec(heads=("mlp", "finetune"), class_weights=True, data="my rows.csv", epochs=2)),
        ("choose", ChooseSpec(margin=0.5, seed=3)),
        ("retrieve", RetrieveSpec(methods=("bm25",), name="it's")),
    ],
)
def test_the_command_makes_the_same_spec(task: str, spec: Any) -> None:
    line = command_of(task, spec)
    assert "\n" not in line
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    _, bound, _ = cli.app.parse_args(words[1:], exit_on_error=False, print_error=False)
    given = {name: value for name, value in bound.arguments.items() if value is not None}
    if task == "train":
        assert build(given, preset_for_auto="nano") == spec
    else:
        known = {option.name or name: name for name, option in options(type(spec)).items()}
        made = {known[name]: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        assert type(spec)(**made) == spec
