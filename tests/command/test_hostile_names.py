"""Whatever names, texts and files say, no command prints anything that a terminal could act on."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
import tinylm
from retrieving import collection
from workbench import PROJECT, TINY, VERSE, launch, notices, records

from checkpoints import home
from checkpoints import run as runs
from engine.lab import record
from engine.runs import queue
from engine.runs.events import Event
from engine.runs.messages import Control
from tui import output, start
from tui.command import cli
from tui.text import escaped

HOSTILE = "\x1b]0;P\x07\x9b31m\u202e\u200b\u2066\x7f\x85\tz"
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in (TINY | {"preset": "nano"}).items()]


def dangerous(text: str) -> list[str]:
    """Controls, marks of direction, what has no width, and what is no character, by Unicode's own tables."""
    return sorted({c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")})


@dataclass(frozen=True)
class Place:
    """Where everything has a hostile name."""

    folder: Path
    corpus: Path
    """a text with a hostile name"""
    run: str
    """a finished training whose journal is hostile"""
    model: Path
    """a language model that writes any byte"""
    encoder: Path
    data: Path
    """a table of hostile texts and classes"""
    documents: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE
    folder.mkdir()
    corpus = folder / f"verse{HOSTILE}.txt"
    corpus.write_text(VERSE + HOSTILE + "\n" + VERSE, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(folder / "home"))
        patch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
        assert cli.main(["train", "--corpus", str(corpus), *FLAGS, "--name", "done", "--quiet"]) == 0
        made = runs.every(home.runs())[0]
        run = runs.Run(made.path.rename(made.path.with_name(f"20260101-000000-{HOSTILE}")))
        odd = runs.Run(Path(shutil.copytree(run.path, run.path.with_name(f"odd{HOSTILE}"))))
    last = {"event": "finished", "reason": HOSTILE, "step": 40, "best_val_loss": None, "run": HOSTILE}
    with odd.events.open("a", encoding="utf-8") as journal:
        journal.write(
            json.dumps({"event": "notice", "text": HOSTILE, "level": "error", "kind": HOSTILE, "step": 1}) + "\n"
        )
        journal.write(json.dumps(last, ensure_ascii=False) + "\n")
    model, encoder, data = folder / "model", folder / "encoder", folder / "data.csv"
    tinylm.write_gpt2(model, eos_token_id=None, initializer_range=0.01)
    tiny.bert(encoder)
    texts, labels = tiny.texts(60)
    names = [HOSTILE + letter for letter in "abc"]
    tiny.write_csv(data, ([text + HOSTILE for text in texts], labels), names)  # type: ignore[arg-type]
    documents = collection(folder / "documents")
    for file in documents.rglob("*.*"):
        changed = file.read_text("utf-8").replace("d1", "d1" + json.dumps(HOSTILE, ensure_ascii=False)[1:-1])
        file.write_text(changed.replace("card", "card " + escaped(HOSTILE).replace("\t", " ")), "utf-8")
    return Place(folder, corpus, run.name, model, encoder, data, documents)


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Said:
    """Run a command there and check both streams; returns its exit code and what it printed."""
    monkeypatch.setenv("LLMLAB_HOME", str(place.folder / "home"))
    for name in ("TERM", "COLORTERM", "NO_COLOR", "HF_ENDPOINT", "SSH_CONNECTION", "TMUX"):
        monkeypatch.setenv(name, HOSTILE)
    monkeypatch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
    monkeypatch.setattr("tui.command.interrupt.signal.signal", lambda number, handler: None)

    def ran(*arguments: object, terminal: bool = False) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(output, "on_terminal", lambda: terminal)
            code = cli.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        exact = arguments[0] in ("sample", "generate", "sweep", "suspects") and not terminal
        assert set(dangerous(out)) <= set("\t\u200c\u200d" if exact else ""), arguments
        assert dangerous(err) == [], arguments
        assert "Traceback" not in err, err
        return code, out, err

    return ran


def test_every_command_is_tried_here() -> None:
    tried = {"train", "fields", "resume", "own", "runs", "export", "sample", "tokenize", "classify", "predict", "rank"}
    tried |= {"choose", "retrieve", "search", "generate", "sweep", "doctor", "bench", "cache", "suspects"}
    tried |= {"fetch", "config", "compare", "report", "export-metrics", "lab", "lab run", "lab report"}
    tried |= {f"runs {name}" for name in ("tag", "note", "rename", "pin", "delete", "restore", "trash")}
    tried |= {"queue", "queue move", "queue cancel"}
    assert {name for name, _ in cli.commands()} == tried


def test_the_queue(place: Place, said: Said) -> None:
    made = runs.create(home.runs(), "x", {"task": "train", "corpus": HOSTILE}, {})
    waits = runs.Run(made.path.rename(made.path.with_name(f"20270101-000000-{HOSTILE}")))
    queue._write([queue.Entry(place.run), queue.Entry(waits.name, os.getpid(), time.time())])
    assert said("queue")[0] == 0
    assert said("queue", "move", waits.name, "up")[0] == 2
    assert said("queue", "cancel", HOSTILE * 2)[0] == 2
    assert said("queue", "cancel", waits.name)[0] == 0
    waits.delete()
    (home.runs() / queue.FILE).write_text(json.dumps({"runs": [{"name": HOSTILE, "pid": HOSTILE}]}))
    assert said("queue")[0] == 2
    assert said("queue", "cancel", "--all")[0] == 0


def test_runs_and_doctor(place: Place, said: Said) -> None:
    _, out, _ = said("runs")
    assert len(out.splitlines()) == 2
    assert "␛]0;P␇·31m" in out
    _, out, _ = said("runs", "--json")
    listed = records(out)
    assert {one["name"] for one in listed} == {place.run, f"odd{HOSTILE}"}
    assert HOSTILE in {one["reason"] for one in listed}
    assert "\\u202e" in out
    _, out, _ = said("doctor")
    assert out.count("␛]0;P␇") >= 4
    _, out, _ = said("doctor", "--json")
    assert json.loads(out)["terminal"]["TERM"] == HOSTILE
    said("fields")
    _, out, _ = said("cache")
    assert "␛]0;P␇" in out
    said("cache", "--json")


def test_what_is_read_out_of_runs(place: Place, said: Said) -> None:
    odd, out = f"odd{HOSTILE}", place.folder / "out"
    _, told, _ = said("compare", place.run, odd)
    assert "␛]0;P␇" in told
    assert said("compare", place.run, odd, "--json")[0] == 0
    for kind in ("csv", "tensorboard"):
        assert said("export-metrics", place.run, odd, "--to", kind, out / kind)[0] == 0
    assert said("report", place.run, odd, "--out", out / "reports")[0] == 0
    pages = [*(out / "reports").rglob("*.md"), *(out / "reports").rglob("*.svg")]
    assert len(pages) == 4
    for page in pages:
        assert dangerous(page.read_text()) == []


def test_what_is_written_about_runs(place: Place, said: Said) -> None:
    odd = f"odd{HOSTILE}"
    assert said("runs", "tag", odd, HOSTILE)[0] == 2
    assert said("runs", "rename", odd, HOSTILE)[0] == 2
    assert said("runs", "note", odd, HOSTILE)[0] == 0
    assert "␛]0;P␇" in said("runs", "note", odd)[1]
    assert said("runs", "pin", odd)[0] == 0
    assert said("runs", "delete", odd)[0] == 0
    assert "␛]0;P␇" in said("runs", "trash")[1]
    assert said("runs", "restore", HOSTILE)[0] == 2
    assert said("runs", "restore", odd)[0] == 0


def test_training_commands(place: Place, said: Said) -> None:
    assert said("train", "--corpus", place.corpus, *FLAGS, "--name", HOSTILE)[0] == 0
    _, out, _ = said("train", "--corpus", place.corpus, *FLAGS, "--name", HOSTILE, "--json")
    started = next(one for one in records(out) if one["event"] == "started")
    assert HOSTILE in started["corpus"]
    assert said("resume", place.run, "--steps", 50)[0] == 0
    assert said("resume", place.run, "--steps", 60, "--json")[0] == 0
    assert said("export", place.run, place.folder / f"export{HOSTILE}")[0] == 0
    for terminal in (False, True):
        assert said("sample", place.run, "--prompt", f"ma{HOSTILE}", terminal=terminal)[0] == 0
    _, out, _ = said("sample", place.run, "--prompt", f"ma{HOSTILE}", "--json")
    assert records(out)[0]["prompt"] == f"ma{HOSTILE}"


def test_texts_of_models_and_tokens(place: Place, said: Said) -> None:
    model = ("--model", place.model, "--top-k", 0, "--max-new-tokens", 200)
    assert said("generate", HOSTILE, *model, terminal=True)[0] == 0
    _, out, _ = said("generate", HOSTILE, *model, "--json")
    exact = records(out)[-1]["text"]
    assert set(dangerous(exact)) & set(map(chr, (*range(32), 127)))  # it writes controls: that is what is tried here
    out = said("generate", HOSTILE, *model)[1] if "\t" not in exact else ""
    assert len(out) in (0, len(exact))
    sweep = ("sweep", HOSTILE, "--model", place.model, "--setting", "top-k=0,temperature=2", "--max-new-tokens", 50)
    assert said(*sweep)[0] == said(*sweep, "--json")[0] == said(*sweep, terminal=True)[0] == 0
    assert said("tokenize", HOSTILE)[0] == 0
    _, out, _ = said("tokenize", HOSTILE, "--tokenizer", "bundled", "--tokenizer", place.model, "--json")
    assert records(out)[1]["tokenizer"] == str(place.model)


def test_what_a_program_reads_keeps_tabs_and_joiners(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "\tمی\u200cخواهم क्\u200dष\x1b\u202e\n"
    output.print_text(text)
    assert capfd.readouterr().out == text.replace("\x1b", "␛").replace("\u202e", "·")
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    output.print_text(text)
    assert dangerous(capfd.readouterr().out) == []


def test_comparisons(place: Place, said: Said) -> None:
    options = ("--encoder", place.encoder, "--name", HOSTILE)
    code, out, _ = said("classify", "--data", place.data, *options, "--head", "lr", "--suspects")
    assert code == 0
    run = out.splitlines()[-1]
    _, out, _ = said("predict", run, f"card {HOSTILE}", "--json")
    assert HOSTILE in records(out)[0]["class"]
    said("predict", run, f"card {HOSTILE}", "late")
    assert (
        said("predict", run, "--input", place.data)[0] == said("predict", run, "--input", place.data, "--json")[0] == 0
    )
    assert said("suspects", run)[0] == said("suspects", run, terminal=True)[0] == 0
    assert said("export", run, place.folder / "exported")[0] == 0
    said("resume", run, "--json")
    assert said("own", run)[0] == 0
    table = place.folder / "choices.jsonl"
    rows = [{"question": f"{HOSTILE}{row}?", "choices": [HOSTILE, "b"], "answer": row % 2} for row in range(12)]
    table.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    choose = ("choose", "--data", table, "--model", place.model, "--method", "zero-shot", "--limit", 4)
    assert said(*choose, "--json")[0] == 0
    code, out, _ = said(*choose)
    assert code == 0
    run = next(line for line in reversed(out.splitlines()) if line.strip())
    code, out, _ = said("rank", run, "--input", table, "--json")
    assert code == 0
    assert all(one["text"] == "b" or "\x1b" in one["text"] for one in records(out)[:-1])  # as the file has it
    assert said("rank", run, "--input", table)[0] == 0
    assert said("rank", run, "--input", f"no{HOSTILE}")[0] == 2


def test_searches(place: Place, said: Said) -> None:
    options = ("--data", place.documents, "--encoder", place.encoder)
    assert said("retrieve", *options, "--method", "bm25")[0] == 0
    _, out, _ = said("search", *options, "card", HOSTILE, "--method", "bm25", "--json")
    assert any(HOSTILE in one["id"] for one in records(out)[:-1])
    assert said("search", *options, "card", HOSTILE, "--method", "bm25")[0] == 0


def test_errors_and_argument_values(place: Place, said: Said) -> None:
    config = place.folder / "bad.toml"
    config.write_text(f'[train]\n"{escaped(HOSTILE)}" = 3\n', "utf-8")
    table = place.folder / "bad.csv"
    table.write_text(f"{HOSTILE},b\n1,2\n", "utf-8")
    for command in (
        [HOSTILE],
        ["runs", f"--{HOSTILE}"],
        ["train", "--corpus", HOSTILE],
        ["train", "--preset", HOSTILE],
        ["train", f"--{HOSTILE}", "1"],
        ["train", "--config", config],
        ["train", "--config", place.folder],
        ["train", "--name", "\udcff", "--steps", HOSTILE],
        ["resume", f"no {HOSTILE}"],
        ["own", f"no {HOSTILE}"],
        ["resume", place.run, "--steps", 3],
        ["export", place.run, place.corpus],
        ["export", place.run, place.folder],
        ["export", place.run, place.folder, "--checkpoint", HOSTILE],
        ["sample", place.run, "--prompt", "ma🙂"],
        ["sample", f"no {HOSTILE}"],
        ["tokenize", HOSTILE, "--tokenizer", f"no {HOSTILE}"],
        ["generate", HOSTILE, "--model", f"no {HOSTILE}"],
        ["generate", HOSTILE, "--model", place.folder],
        ["sweep", HOSTILE, "--setting", HOSTILE],
        ["sweep", "--from", place.corpus],
        ["classify", "--data", HOSTILE],
        ["classify", "--data", table],
        ["classify", "--data", place.data, "--encoder", HOSTILE],
        ["choose", "--data", table],
        ["retrieve", "--data", table],
        ["search", "x", "--data", place.documents, "--run", f"no {HOSTILE}"],
        ["predict", f"no {HOSTILE}", "x"],
        ["bench", HOSTILE],
        ["bench", "decode", "--model", f"no {HOSTILE}"],
    ):
        assert said(*command)[0] == 2, command


def test_a_fault_of_the_program_and_what_libraries_print(
    said: Said, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path) -> list[Any]:
        sys.stderr.write(f"a library warns: {HOSTILE}\n")
        raise ZeroDivisionError(HOSTILE)

    monkeypatch.setattr(cli.runs, "every", broken)
    assert cli.main(["runs"]) == 1
    told = capfd.readouterr()
    assert ("Traceback" in told.err, "a library warns" in told.err, told.out) == (True, True, "")
    assert dangerous(told.err) == []


def test_the_screen_that_cannot_open(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(start.terminal, "refusal", lambda *_, **__: f"TERM is {HOSTILE}")
    assert start.open_screen() == 2
    told = capfd.readouterr()
    assert "TERM is ␛" in told.err
    assert dangerous(told.err + told.out) == []


def test_the_log_of_a_process_that_could_not_start(place: Place, said: Said, capfd: pytest.CaptureFixture[str]) -> None:
    made = runs.create(home.runs(), "broken", {}, {})
    (made.path / "spec.json").write_text("{")
    broken = runs.Run(made.path.rename(made.path.with_name(HOSTILE)))
    events = list(launch(broken, Control()))
    log = (broken.path / "trainer.log").read_text("utf-8")
    assert dangerous(log) == []
    assert "␛" in log
    (told,) = notices("failure", events)
    assert dangerous(told.text) == []


def test_commands_without_a_stream_to_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["fields"]) == 0
    assert cli.main(["resume", "nothing"]) == 2


def test_a_configuration_of_strange_names(place: Place, said: Said) -> None:
    name = json.dumps(HOSTILE).replace("\x7f", "\\u007f")
    file = place.folder / "home" / "config.toml"
    file.write_text(f'[keys.train]\n{name} = "a"\nsave = {name}\n', encoding="utf-8")
    try:
        code, out, err = said("config")
        assert (code, "save = " in out) == (2, True)
        assert "there is no such name" in err
        file.write_text(HOSTILE, encoding="utf-8")
        assert said("config")[0] == 2
    finally:
        file.unlink()


def test_what_pip_says_of_a_download(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(*_: object) -> Generator[Event, None, tuple[int, str]]:
        yield from ()
        return 1, f"ERROR: {HOSTILE}"

    monkeypatch.setattr("engine.lm.smollm2.followed", failed)
    for more in ((), ("--json",)):
        code, _, err = said("fetch", "smollm2", *more)
        assert code == 2
        assert "cannot be downloaded from the package index" in err


def test_json_means_the_same_with_every_character() -> None:
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000, 7))))
    for value in (everything, "\\" + HOSTILE, "\ud800", {HOSTILE: [HOSTILE, "è \U000e0041"]}):
        content = escaped(json.dumps(value, ensure_ascii=False))
        assert json.loads(content) == value
        assert set(dangerous(content)) <= {c for c in dangerous(everything) if unicodedata.category(c) == "Cf"}
    assert escaped(json.dumps("è 漢🙂", ensure_ascii=False)) == '"è 漢🙂"'


def test_one_module_writes_to_stdout_and_stderr() -> None:
    """``print``, ``sys.stdout`` and ``sys.stderr`` are used for writing in :mod:`tui.output` alone.

    Besides by ``python -m engine.bench``, which works without ``tui``, and by the process that converts a GGUF file:
    what that prints goes to a file that its parent reads.
    """
    found = set()
    packages = [folder.parent for folder in PROJECT.glob("*/__init__.py") if folder.parent.name != "tests"]
    assert len(packages) >= 4
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(id="print" | "pprint")):
                        found.add(str(path.relative_to(PROJECT)))
                    case ast.Attribute(attr="write" | "writelines" | "buffer", value=ast.Attribute(attr=stream)):
                        if stream.strip("_") in ("stdout", "stderr"):
                            found.add(str(path.relative_to(PROJECT)))
                    case ast.keyword(arg="file", value=value) if "sys." in ast.unparse(value):
                        found.add(str(path.relative_to(PROJECT)))
                    case ast.Call(func=ast.Attribute(attr="write", value=ast.Name(id="os")), args=[to, _]):
                        if ast.unparse(to) in ("1", "2") or "fileno" in ast.unparse(to):
                            found.add(str(path.relative_to(PROJECT)))
    assert found == {"tui/output.py", "engine/bench/__main__.py", "engine/lm/gguf_file.py"}


def test_the_lab(place: Place, said: Said) -> None:
    record.save_own_texts([HOSTILE])
    record.save_answer("2.1", HOSTILE)
    assert said("lab", "run", "--exercise", "2.1", "--corpus", place.corpus)[0] == 0
    assert said("lab", "run", "--exercise", "2.1", "--json")[0] == said("lab")[0] == said("lab", "--json")[0] == 0
    assert said("lab", "run", "--exercise", HOSTILE)[0] == 2
    folder = place.folder / f"lab{HOSTILE}"
    assert said("lab", "report", "--out", folder)[0] == 0
    assert dangerous((folder / "lab.md").read_text("utf-8")) == []
    assert dangerous((folder / "lab.html").read_text("utf-8")) == []
