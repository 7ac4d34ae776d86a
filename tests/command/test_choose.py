"""``choose`` as a process: data on stdout, words on stderr, exit codes, and a run that can be taken up again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workbench import command, records


def write(path: Path, rows: list[dict[str, object]]) -> str:
    """Rows as JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


ROWS: list[dict[str, object]] = [
    {"question": f"Question {number}?", "choices": ["vita", "selva", "che"][: 2 + number % 2], "answer": number % 2}
    for number in range(30)
]


def test_events_as_json_and_the_run_again(tmp_path: Path) -> None:
    data = write(tmp_path / "some.jsonl", ROWS)
    made = command("choose", "--data", data, "--method", "zero-shot", "--limit", "6", "--json")
    assert made.returncode == 0, made.stderr
    told = records(made.stdout)
    last = told[-1]
    assert (last["event"], last["reason"]) == ("finished", "done")
    assert list(last["results"]) == ["chance", "longest", "zero-shot"]
    for result in last["results"].values():
        assert {"accuracy", "interval", "seconds"} <= set(result)
    assert sum(event["event"] == "item_judged" for event in told) == 6
    again = command("resume", last["run"])
    assert again.returncode == 0, again.stderr
    assert "by character" in again.stdout
    assert "cannot be told from chance" in again.stdout or "is above chance" in again.stdout
    listed = records(command("runs", "--json").stdout)
    assert (listed[0]["task"], listed[0]["state"]) == ("choose", "done")


def test_bad_input_is_told_and_leaves_no_run(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [{"question": "?", "choices": ["only"], "answer": 0}])
    for arguments, said in (
        (("--data", one), "with one choice"),
        (("--data", str(tmp_path / "missing.jsonl")), "no file or folder"),
        (("--margin", "0"), "margin: must lie in 0 < margin"),
        (("--method", "zero-shot", "--model", str(tmp_path)), "no config.json"),
    ):
        made = command("choose", *arguments)
        assert (made.returncode, said in made.stderr) == (2, True), made.stderr
        assert "Traceback" not in made.stderr
    runs = Path(os.environ["LLMLAB_HOME"]) / "runs"
    assert not runs.exists() or not list(runs.iterdir())
