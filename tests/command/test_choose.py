"""``choose``: data on stdout, words on stderr, exit codes, and a run that can be taken up again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workbench import Command, records


def write(path: Path, rows: list[dict[str, object]]) -> str:
    """Rows as JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


ROWS: list[dict[str, object]] = [
    {"question": f"Question {number}?", "choices": ["vita", "selva", "che"][: 2 + number % 2], "answer": number % 2}
    for number in range(30)
]


def test_events_as_json_and_the_run_again(tmp_path: Path, run: Command) -> None:
    data = write(tmp_path / "some.jsonl", ROWS)
    made = run("choose", "--data", data, "--method", "zero-shot", "--limit", "6", "--json")
    assert made.code == 0, made.err
    told = records(made.out)
    last = told[-1]
    assert (last["event"], last["reason"]) == ("finished", "done")
    assert list(last["results"]) == ["chance", "longest", "zero-shot"]
    for result in last["results"].values():
        assert {"accuracy", "interval", "seconds"} <= set(result)
    assert sum(event["event"] == "item_judged" for event in told) == 6
    again = run("resume", last["run"])
    assert again.code == 0, again.err
    assert "by character" in again.out
    assert "chance (0.389, p =" in again.out
    listed = records(run("runs", "--json").out)
    assert (listed[0]["task"], listed[0]["state"]) == ("choose", "finished")


def test_bad_input_is_told_and_leaves_no_run(tmp_path: Path, run: Command) -> None:
    one = write(tmp_path / "one.jsonl", [{"question": "?", "choices": ["only"], "answer": 0}])
    for arguments, said in (
        (("--data", one), "with one choice"),
        (("--data", str(tmp_path / "missing.jsonl")), "no file or folder"),
        (("--margin", "0"), "margin: must lie in 0 < margin"),
        (("--method", "zero-shot", "--model", str(tmp_path)), "no config.json"),
    ):
        made = run("choose", *arguments)
        assert (made.code, said in made.err) == (2, True), made.err
        assert "Traceback" not in made.err
    runs = Path(os.environ["LLMLAB_HOME"]) / "runs"
    assert not runs.exists() or not list(runs.iterdir())
