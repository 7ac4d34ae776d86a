"""``tokenize``: rows for people, JSON for programs, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from workbench import records

from engine.tokenization.find import load
from tui.command.cli import main


def told(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """What the command says as JSON."""
    assert main(["tokenize", *arguments, "--json"]) == 0
    return records(capfd.readouterr().out)


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Put ``content`` on stdin."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))


def test_labs_examples(capfd: pytest.CaptureFixture[str]) -> None:
    for text, ids in (
        ("Hello World", [15496, 2159]),
        ("hello World", [31373, 2159]),
        (" hello World", [23748, 2159]),
        ("HelloWorld", [15496, 10603]),
        ("Hello World ", [15496, 2159, 220]),
    ):
        found, finished = told(capfd, text)
        assert (found["event"], found["tokenizer"], found["ids"]) == ("tokenized", "gpt2", ids)
        assert finished["event"] == "finished"


def test_several_tokenizers_in_the_order_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    text = "Là \U0001f600 <|endoftext|>"
    wanted = ["bundled", "wordpiece", "gpt2"]
    *found, finished = told(capfd, text, *(part for name in wanted for part in ("--tokenizer", name)))
    assert ([one["tokenizer"] for one in found], finished["tokenizers"]) == (wanted, 3)
    for one in found:
        made = load(one["tokenizer"]).encode(text)
        assert (one["ids"], one["token_count"]) == (made.ids, len(made.ids))
        assert [tuple(pair) for pair in one["offsets"]] == list(zip(made.starts, made.ends, strict=True))
        assert (one["characters"], one["bytes"]) == (len(text), len(text.encode()))
    assert (found[2]["special"], found[2]["split_code_points"]) == ([5], 1)
    assert len(found[0]["unknown"]) > 1


def test_special_adds_what_the_model_adds(capfd: pytest.CaptureFixture[str]) -> None:
    found, _ = told(capfd, "hello", "--tokenizer", "wordpiece", "--special")
    assert (found["tokens"], found["special"]) == (["[CLS]", "hello", "[SEP]"], [0, 2])
    assert (found["shared"], found["split_code_points"]) == ([], 0)


def test_stdin_is_read_whole(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ((), ("-",)):
        pipe(monkeypatch, b"Hello World\n")
        assert told(capfd, *arguments)[0]["ids"] == [15496, 2159, 198]


def test_bytes_that_are_no_text_are_told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"ab\xff")
    assert main(["tokenize", "--json"]) == 0
    said = capfd.readouterr()
    assert records(said.out)[0]["characters"] == 3
    assert "byte 2" in said.err


def test_rows_hold_no_control_characters(capfd: pytest.CaptureFixture[str]) -> None:
    text = "Hello \x1b[31m World\n\u202e \ud800"
    assert main(["tokenize", text, *("--tokenizer", "bundled"), *("--tokenizer", "wordpiece")]) == 0
    out = capfd.readouterr().out
    assert not [c for c in out if c < " " and c != "\n"]
    assert "\u202e" not in out
    rows = [line for line in out.splitlines() if "characters 0-1 " in line]
    assert "16" in rows[0]
    assert "unknown" in out


def test_empty_text(capfd: pytest.CaptureFixture[str]) -> None:
    found, _ = told(capfd, "")
    assert (found["ids"], found["characters_per_token"]) == ([], None)
    assert main(["tokenize", ""]) == 0
    assert "0 tokens" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x", "--tokenizer", "no/such"], "no tokenizer 'no/such'"),
        (["x", "--tokenizer", "latest"], "no runs"),
        (["--jsn"], "no option --jsn"),
        (["x", "--tokenizer"], "requires an argument"),
    ],
)
def test_bad_input_is_named(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenize", *arguments]) == 2
    said = capfd.readouterr()
    assert says in said.err
    assert said.out == ""


def test_no_text_at_all(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert main(["tokenize"]) == 2
    assert "no text" in capfd.readouterr().err


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenize", "a\u2028b\n", "--json"]) == 0
    lines = capfd.readouterr().out.split("\n")
    assert [json.loads(line)["event"] for line in lines if line] == ["tokenized", "finished"]
