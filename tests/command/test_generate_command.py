"""``generate`` and ``sweep``: what they print, how they end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import tinylm
from workbench import PROJECT, Command, command, process, records

from engine.runs.events import Event, Progress

BUNDLED = ("--model", "bundled")


def test_a_completion_as_events(run: Command) -> None:
    found = run("generate", "Nel mezzo", *BUNDLED, "--max-new-tokens", 6, "--seed", 3, "--score-prompt", "--json")
    assert found.code == 0, found.err
    lines = records(found.out)
    told = [line for line in lines if line["event"] == "token"]
    assert [line["text"] for line in told if line["prompt"]] == list("Nel mezzo")
    drawn = [line for line in told if not line["prompt"]]
    assert len(drawn) == 6
    for line in drawn:
        assert {"id", "text", "logprob", "rank", "entropy", "candidates"} <= line.keys()
        assert line["id"] in [candidate["id"] for candidate in line["candidates"]]
        assert {"id", "text", "probability", "tempered", "final", "cut"} == line["candidates"][0].keys()
    last = lines[-1]
    assert (last["event"], last["reason"]) == ("finished", "length")
    assert last["text"] == "".join(line["text"] for line in drawn)
    assert last["tokens_per_second"] > 0


def test_a_completion_is_data_on_stdout_and_the_same_in_a_process_that_reads_its_prompt(run: Command) -> None:
    found = run("generate", "Nel mezzo", *BUNDLED, "--max-new-tokens", 30, "--seed", 3)
    events = command("generate", "-", *BUNDLED, "--max-new-tokens", 30, "--seed", 3, "--json", input="Nel mezzo")
    assert events.returncode == 0, events.stderr
    assert found.out == records(events.stdout)[-1]["text"]
    assert "2,681,856 parameters" in found.err


def test_several_samples(run: Command) -> None:
    lines = records(run("generate", "Nel", *BUNDLED, "--max-new-tokens", 9, "--n", 3, "--json").out)
    ends = [line for line in lines if line["event"] == "finished"]
    assert [line["stream"] for line in ends] == [0, 1, 2]
    assert len({line["text"] for line in ends}) == 3
    assert lines[-1] == ends[-1]
    told = run("generate", "Nel", *BUNDLED, "--max-new-tokens", 9, "--n", 3)
    assert told.out == "".join(f"{end['text']}\n" for end in ends)
    names = [line for line in told.err.splitlines() if line.startswith("seed ")]
    assert names == ["seed 1337", "seed 1338", "seed 1339"]


def test_without_a_model_the_first_there_is_completes_and_is_named(run: Command) -> None:
    found = run("generate", "Nel", "--max-new-tokens", 2)
    assert (found.code, len(found.out)) == (0, 2)
    assert "the model is bundled: Dante GPT" in found.err


def test_fetch_prints_where_the_model_is(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(obey: object) -> Generator[Event, None, Path]:
        yield Progress("downloading", 1, 2)
        return tmp_path

    monkeypatch.setattr("engine.lm.smollm2.fetch", fetched)
    found = run("fetch")
    assert (found.code, found.out) == (0, f"{tmp_path}\n")
    lines = records(run("fetch", "--json").out)
    assert [line["event"] for line in lines] == ["progress", "finished"]
    assert (lines[-1]["reason"], lines[-1]["path"]) == ("done", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "x", "--model", "gpt2"), "Hub lookups are off"),
        (("generate", "x", "--model", "nobody/nothing"), "no model 'nobody/nothing'"),
        (("generate", "日", *BUNDLED), "not in the vocabulary"),
        (("generate", "x", *BUNDLED, "--temperature", "0"), "temperature"),
        (("generate", "x", *BUNDLED, "--n", "0"), "n: must be at least 1"),
        (("generate", "--no-such-option", *BUNDLED), "no option --no-such-option"),
        (("generate", "x", *BUNDLED, "--chat"), "chat: bundled has no chat template"),
        (("generate", "x", *BUNDLED, "--system", "y"), "system: is a part of --chat"),
        (("sweep", "x", *BUNDLED, "--chat"), "chat: bundled has no chat template"),
        (("sweep", "--chat", "--from", "nothing.md"), "nothing.md"),
        (("sweep", "x", *BUNDLED, "--setting", "warmth=3"), "'warmth' is not a setting"),
        (("sweep", "x", *BUNDLED, "--setting", "top-k=many"), "cannot be 'many'"),
        (("sweep", "x", *BUNDLED, "--setting", "temperature=0"), "temperature=0: temperature"),
        (("sweep", *BUNDLED, "--from", "nothing.md"), "nothing.md"),
        (("sweep", "x", *BUNDLED, "--from", "README.md"), "no saved comparison"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], message: str, run: Command) -> None:
    found = run(*arguments)
    assert found.code == 2
    assert message in found.err
    assert found.out == ""


def test_an_interrupt_ends_with_what_was_there() -> None:
    arguments = ["generate", "Nel mezzo", *BUNDLED, "--n", "1000", "--max-new-tokens", "119", "--json"]
    with process([sys.executable, "-m", "llmlab_tui", *arguments]) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(json.loads(line))
            if len([one for one in lines if one["event"] == "token"]) == 3:
                child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
    last = lines[-1]
    assert (last["event"], last["reason"]) == ("finished", "stop")
    told = [line["text"] for line in lines if line["event"] == "token" and line["stream"] == last["stream"]]
    assert last["tokens"] == len(told) < 119
    assert last["text"] == "".join(told)


def test_a_terminal_is_left_alone(tmp_path: Path) -> None:
    """A model of random bytes writes to a pseudo-terminal: nothing of it acts there."""
    tinylm.write_gpt2(tmp_path, eos_token_id=None, initializer_range=0.01, n_positions=512)
    arguments = ["generate", "\x1b[31m", "--model", str(tmp_path), "--top-k", "0", "--max-new-tokens", "300"]
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "llmlab_tui", *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=PROJECT
    ) as child:
        os.close(slave)
        content = b"".join(iter(lambda: read(master), b""))
        assert child.wait(30) == 0
    os.close(master)
    text = content.decode()
    assert "300 tokens" in text
    assert any("␀" <= c <= "␡" for c in text)
    assert not [c for c in text if (ord(c) < 32 and c not in "\r\n") or 0x7F <= ord(c) < 0xA0]


def read(master: int) -> bytes:
    """What a terminal shows next; nothing when its last writer has gone."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""


def test_a_sweep_is_saved_and_repeated(run: Command) -> None:
    settings = ("--setting", "greedy", "--setting", "temperature=0.7,top-p=0.9", "--max-new-tokens", 15)
    found = command("sweep", "Nel mezzo", *BUNDLED, *settings, "--json")
    assert found.returncode == 0, found.stderr
    lines = records(found.stdout)
    compared = [line for line in lines if line["event"] == "compared"]
    assert [(line["greedy"], line["temperature"], line["top_p"]) for line in compared] == [
        (True, 1, 1),
        (False, 0.7, 0.9),
    ]
    assert (lines[-1]["event"], lines[-1]["reason"], lines[-1]["compared"]) == ("finished", "done", 2)
    path = Path(lines[-1]["path"])
    assert path.parent == Path(os.environ["LLMLAB_HOME"]) / "sweeps"
    again = run("sweep", "--from", path, "--json")
    assert again.code == 0
    repeated = records(again.out)
    assert repeated[-1]["same"] is True
    assert [line["text"] for line in repeated if line["event"] == "compared"] == [line["text"] for line in compared]
    path.write_text(path.read_text().replace('text = "', 'text = "other ', 1))
    changed = run("sweep", "--from", path)
    assert changed.code == 1
    assert "the texts differ" in changed.err


def test_a_sweep_for_people(run: Command) -> None:
    found = run("sweep", "Nel mezzo", *BUNDLED, "--max-new-tokens", 5)
    assert found.code == 0, found.err
    for name in ("greedy", "temperature 0.3", "temperature 2", "repetition", "distinct-2"):
        assert name in found.out
    assert "saved:" in found.err


def test_a_chat_begins_from_the_models_template_which_is_shown(run: Command, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tinylm.write_instruct(tmp_path)
    messages = [{"role": "system", "content": "Breve."}, {"role": "user", "content": "Chi sei?"}]
    peer = AutoTokenizer.from_pretrained(tmp_path)
    text = peer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = peer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    asked = ("Chi sei?", "--model", tmp_path, "--chat", "--system", "Breve.", "--max-new-tokens", 5)
    assert text in run("generate", *asked).err
    lines = records(run("generate", *asked, "--score-prompt", "--json").out)
    assert [line["text"] for line in lines if line.get("kind") == "chat"] == [text]
    assert [line["id"] for line in lines if line["event"] == "token" and line["prompt"]] == ids
    swept = records(run("sweep", *asked, "--setting", "greedy", "--setting", "temperature=0.5", "--json").out)
    saved = Path(swept[-1]["path"]).read_text()
    assert json.dumps(text, ensure_ascii=False) in saved
    assert f"ids = {json.dumps(ids)}" in saved
    again = records(run("sweep", "--from", swept[-1]["path"], "--json").out)
    assert again[-1]["same"] is True
