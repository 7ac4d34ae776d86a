"""The command line: stdout is data, stderr is narration, exit codes mean something, nothing ends in a traceback."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from workbench import TINY, VERSE, Command, Ran, command, measured, new_run, process, records, spec, train, weights

from checkpoints import home, store
from checkpoints import run as runs
from engine.gpt import runs as gpt_runs
from engine.gpt.model import GPT
from engine.runs import events as happened
from engine.runs import owner
from engine.runs.events import Finished, Started
from engine.runs.listing import summarise
from engine.runs.messages import Continue, Control, Pause
from tui.command.cli import main

pytestmark = pytest.mark.usefixtures("known_peak")


def flags(**changes: object) -> list[str]:
    """The tiny model as options; a change of None leaves the option out."""
    given = TINY | {"preset": "nano"} | changes
    options = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None)
    return [part for option in options for part in option]


FLAGS = flags()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run, called ``done``."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "verse.txt").write_text(VERSE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(folder / "home"))
        patch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
        list(gpt_runs.drive(new_run(spec(folder / "verse.txt", name="done")), Control(), resume=False))
    return folder / "home"


@pytest.fixture
def trained(finished: Path) -> runs.Run:
    """That run, of which this test has a copy."""
    shutil.copytree(finished, home.home())
    return runs.find(home.runs(), "done")


def lines_of(text: str) -> list[str]:
    return text.strip().splitlines()


# -- the end of a run --------------------------------------------------------------------------------------------------


def test_the_command_of_the_configuration_runs_at_the_end(verse: Path, run: Command, tmp_path: Path) -> None:
    told = tmp_path / "told"
    home.home().mkdir(parents=True, exist_ok=True)
    command = f'echo "$LLMLAB_RUN $LLMLAB_STATE $LLMLAB_RUN_PATH" > {told}.new; mv {told}.new {told}'
    (home.home() / "config.toml").write_text(f"[at_end]\ncommand = '{command}'\n", encoding="utf-8")
    assert run("train", "--corpus", verse, *FLAGS, "--name", "told", "--quiet").code == 0
    (made,) = runs.every(home.runs())
    deadline = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert told.read_text("utf-8").split() == [made.name, "finished", str(made.path)]


# -- training ----------------------------------------------------------------------------------------------------------


def untimed(record: dict[str, Any]) -> dict[str, Any]:
    """An event of a journal as it is printed, without its time."""
    return {name: value for name, value in record.items() if name != "time"}


def test_training_prints_one_event_a_line_and_the_last_tells_the_end(verse: Path, run: Command) -> None:
    ran = run("train", "--corpus", verse, *FLAGS, "--json")
    assert ran.code == 0
    assert ran.err == ""
    printed = records(ran.out)
    last = printed[-1]
    (found,) = runs.every(home.runs())
    assert (last["event"], last["reason"], last["step"], last["run"]) == ("finished", "steps", 40, found.name)
    assert last["best_val_loss"] == min(line["val_loss"] for line in printed if line["event"] == "evaluated")
    assert printed == [untimed(line) for line in records(found.events.read_text("utf-8"))]
    events = [event for line in printed if (event := happened.from_dict(line))]
    assert len(events) == len(printed)
    assert measured(events) == measured(train(spec(verse)))


def test_without_json_stdout_is_the_runs_name_and_stderr_the_story(verse: Path, run: Command) -> None:
    ran = run("train", "--corpus", verse, *FLAGS)
    assert ran.code == 0
    assert lines_of(ran.out) == [runs.every(home.runs())[0].name]
    for word in ("17 distinct", "validation loss", "sample at step 40", "saved", "finished at step 40"):
        assert word in ran.err
    assert run("train", "--corpus", verse, *FLAGS, "--quiet") == Ran(0, "", "")


def test_a_preset_chosen_for_the_machine_is_explained(verse: Path, run: Command) -> None:
    ran = run("train", "--corpus", verse, *flags(preset=None, steps=1))
    assert ran.code == 0
    assert "No GPU found, so auto uses fast" in ran.err


def test_the_command_line_goes_before_the_file_of_fields(verse: Path, tmp_path: Path, run: Command) -> None:
    config = tmp_path / "spec.toml"
    config.write_text(f'[train]\ncorpus = "{verse}"\nsteps = 3\nseed = 9\nname = "from-file"\npreset = "karpathy"\n')
    options = flags(steps=None, preset=None, seed=8)
    assert run("train", "--config", config, *options, "--quiet").code == 0
    made = runs.find(home.runs(), "from-file").read_json("spec.json")
    assert (made["steps"], made["seed"], made["preset"], made["activation"]) == (3, 8, "karpathy", "relu")


def test_control_characters_of_a_corpus_do_not_reach_the_terminal(tmp_path: Path, run: Command) -> None:
    path = tmp_path / "escape.txt"
    path.write_text("\x1b[31m\x07\u202e\n" * 300)
    ran = run("train", "--corpus", path, *FLAGS)
    assert ran.code == 0
    assert "␛" in ran.err
    assert not set("\x1b\x07\u202e") & set(ran.err)


def test_a_run_that_diverges_fails(verse: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    real = GPT.loss
    monkeypatch.setattr(GPT, "loss", lambda self, *a, **k: real(self, *a, **k) * (math.nan if self.training else 1))
    ran = run("train", "--corpus", verse, *FLAGS)
    assert ran.code == 1
    assert "Resume with a lower learning rate" in ran.err


def test_a_run_without_memory_fails_with_advice(verse: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def loss(self: GPT, *_: Any, **__: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory\nmany\nlines")

    real = GPT.loss
    monkeypatch.setattr(GPT, "loss", lambda self, *a, **k: (loss if self.training else real)(self, *a, **k))
    ran = run("train", "--corpus", verse, *FLAGS, "--quiet")
    assert ran.code == 1
    assert len(lines_of(ran.err)) == 1
    assert "lower the context or the width" in ran.err


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD_CORPUS = {
    "empty": (b"", "the file is empty"),
    "binary": (b"\x00\x01\x02" * 100, "binary file"),
    "blank": (b"\n \n", "white space"),
    "short": (b"too short a text", "characters are too few"),
}


def assert_refused(ran: Ran, *says: str) -> None:
    assert ran.code == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err
    told = [line for line in lines_of(ran.err) if line.startswith("llmlab-tui: ")]
    assert len(told) == len(says), ran.err
    for line, words in zip(told, says, strict=True):
        assert words in line


@pytest.mark.parametrize("kind", BAD_CORPUS)
def test_an_unusable_corpus_is_refused_and_leaves_no_run(kind: str, tmp_path: Path, run: Command) -> None:
    content, says = BAD_CORPUS[kind]
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    assert_refused(run("train", "--corpus", path, *FLAGS, "--quiet"), says)
    assert runs.every(home.runs()) == []
    assert list(home.runs().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--corpus", "/nowhere/x.txt"], ["/nowhere/x.txt: no such file"]),
        (["--corpus", "/"], ["/: this folder has more than 2 files"]),
        (["--corpus", "/nowhere/\x1b[31mred.txt"], ["␛[31mred.txt"]),
        (["--corpus", "v", "--widht", "8"], ["Did you mean --width?"]),
        (["--corpus", "v", "--heads", "3", "--width", "16"], ["3 do not divide the width 16"]),
        (["--corpus", "v", "--batch", "0", "--tied", "perhaps"], ["tied: 'perhaps'", "batch: must be at least 1"]),
        (["--corpus", "v", "--learning-rate", "fast"], ["'fast' is not a number"]),
        (["--corpus", "v", "--steps", "many"], ["many"]),
        (["--corpus", "v", "--preset", "huge"], ["huge"]),
        (["--corpus", "v", "--config", "/nowhere/spec.toml"], ["/nowhere/spec.toml: No such file"]),
        (["--corpus", ""], ["name a text file"]),
        (["--steps"], ["--steps"]),
    ],
)
def test_bad_fields_are_refused(
    arguments: list[str], says: list[str], run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.corpus.MOST_FILES", 2)
    assert_refused(run("train", *arguments), *says)
    assert runs.every(home.runs()) == []


def test_a_prompt_that_the_corpus_cannot_spell_is_refused_and_leaves_no_run(verse: Path, run: Command) -> None:
    ran = run("train", "--corpus", verse, *FLAGS, "--quiet", "--sample-prompt", "Ω")
    assert_refused(ran, "sample_prompt: character 'Ω'")
    assert list(home.runs().iterdir()) == []


def test_a_corpus_without_a_line_break_needs_no_option(tmp_path: Path, run: Command) -> None:
    path = tmp_path / "line.txt"
    path.write_text("gattaca " * 400, encoding="utf-8")
    ran = run("train", "--corpus", path, *FLAGS)
    assert ran.code == 0, ran.err
    assert "no line break" in ran.err
    assert run("resume", "latest", "--steps", 45).code == 0
    ran = run("sample", "latest", "--length", 9)
    assert (ran.code, len(ran.out)) == (0, 9)


def test_another_checkpoint_than_the_best_is_named_when_it_is_used(
    trained: runs.Run, tmp_path: Path, run: Command
) -> None:
    run("resume", "done", "--steps", 45)
    best = summarise(trained).best_step
    shutil.rmtree(trained.checkpoints / f"step-{best:06d}")
    left = max(store.step_of(path) for path in store.checkpoints(trained.checkpoints))
    says = f"step {left} is used instead of the best checkpoint, step {best}: it is not saved"
    ran = run("export", "done", tmp_path / "out")
    assert (ran.code, says in ran.err) == (0, True)
    ran = run("sample", "done", "--length", 9)
    assert (ran.code, says in ran.err, len(ran.out)) == (0, True, 9)


@pytest.mark.parametrize("content", [None, b""])
def test_a_run_whose_journal_is_lost_goes_on_from_its_checkpoint(
    content: bytes | None, trained: runs.Run, run: Command
) -> None:
    trained.events.unlink()
    if content is not None:
        trained.events.write_bytes(content)
    ran = run("resume", "done", "--steps", 45, "--json")
    assert [line["step"] for line in records(ran.out) if line["event"] == "step"] == [41, 42, 43, 44, 45]


def test_a_run_that_is_removed_under_a_command_ends_it(
    trained: runs.Run, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.gpt.train.measure_peak", lambda _: shutil.rmtree(trained.path) or 1e9)
    ran = run("resume", "done", "--steps", 100_000, "--quiet")
    assert ran.code == 1
    assert f"{trained.events} does not exist any more: the run was deleted" in ran.err
    assert not trained.path.exists()


def test_an_argument_too_many_is_named(run: Command) -> None:
    assert_refused(run("train", "dante"), "unexpected argument: dante")


@pytest.mark.parametrize("arguments", [["fly"], ["resume"], ["export", "latest"], ["sample"], ["runs", "--jason"]])
def test_bad_commands_are_refused(arguments: list[str], run: Command) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("llmlab-tui: ")
    assert "Traceback" not in ran.err


def test_an_unknown_run_is_refused_and_told_what_there_is(trained: runs.Run, tmp_path: Path, run: Command) -> None:
    for arguments in (["resume", "other"], ["sample", "other"], ["export", "other", tmp_path / "out"]):
        assert_refused(run(*arguments), f"no run is called 'other'; there are: {trained.name}")
    assert_refused(run("sample", "done", "--checkpoint", "7"), "has no checkpoint 7")


def test_a_home_that_cannot_be_written_is_refused(
    verse: Path, tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "file" / "home"))
    assert_refused(run("train", "--corpus", verse, *FLAGS, "--quiet"), "Not a directory")
    assert run("runs") == Ran(0, "", "")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if not os.access(locked, os.W_OK):
        monkeypatch.setenv("LLMLAB_HOME", str(locked))
        assert_refused(run("train", "--corpus", verse, *FLAGS, "--quiet"), "Permission denied")


def test_a_finished_run_goes_on_only_with_more_steps(trained: runs.Run, run: Command) -> None:
    assert_refused(run("resume", "done"), "has finished its 40 steps; give more with --steps")
    assert_refused(run("resume", "done", "--steps", "50", "--learning-rate", "7"), "learning_rate: must lie in")
    ran = run("resume", "done", "--steps", "45", "--json")
    assert ran.code == 0
    assert [line["step"] for line in records(ran.out) if line["event"] == "step"] == [41, 42, 43, 44, 45]
    assert trained.read_json("spec.json")["steps"] == 45


def test_a_damaged_checkpoint_is_refused(trained: runs.Run, tmp_path: Path, run: Command) -> None:
    (path,) = trained.checkpoints.glob("*/model.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_refused(run("resume", "done", "--steps", "50", "--quiet"), "no checkpoint of this run can be used")
    assert_refused(run("sample", "done"), "damaged: its SHA-256 does not match")
    assert_refused(run("export", "done", tmp_path / "out"), "damaged")
    assert not (tmp_path / "out").exists()


def test_a_run_in_use_is_refused(trained: runs.Run, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checkpoints.lock.LOCK_TIMEOUT", 0.0)
    before = trained.events.read_bytes()
    with trained.lock():
        assert_refused(run("resume", "done", "--steps", "50", "--quiet"), f"in use by process {os.getpid()}")
        assert json.loads(run("runs", "--json").out)["owner"] == os.getpid()
    assert trained.events.read_bytes() == before


# -- using what was trained --------------------------------------------------------------------------------------------


def test_runs_are_listed_for_programs_and_people(trained: runs.Run, run: Command) -> None:
    (listed,) = records(run("runs", "--json").out)
    assert (listed["name"], listed["state"], listed["reason"], listed["step"]) == (
        trained.name,
        "finished",
        "steps",
        40,
    )
    assert (listed["corpus"], listed["preset"], listed["owner"]) == ("verse", "nano", None)
    (line,) = lines_of(run("runs").out)
    assert line.startswith(trained.name)
    assert f"{listed['best_val_loss']:.4f}" in line
    assert listed["spec"]["width"] == TINY["width"]
    assert run("runs", "--filter", f"best>{listed['best_val_loss'] + 0.01}", "--sort", "best").out == ""
    assert lines_of(run("runs", "--filter", f"verse width={TINY['width']}").out) == [line]
    for wrong in (["--filter", "best<"], ["--sort", "worst"]):
        refused = run("runs", *wrong)
        assert refused.code == 2
        assert len(lines_of(refused.err)) == 1


def test_a_sample_is_decided_by_its_seed(trained: runs.Run, run: Command) -> None:
    ask = ["sample", "done", "--length", "60", "--prompt", "ma"]
    first = run(*ask, "--seed", "1")
    assert first.code == 0
    assert len(first.out) == 60
    assert set(first.out) <= set(VERSE)
    assert run(*ask, "--seed", "1") == first
    assert run(*ask, "--seed", "2").out != first.out
    assert run(*ask, "--temperature", "0", "--seed", "1") == run(*ask, "--temperature", "0", "--seed", "2")
    *pieces, last = records(run(*ask, "--seed", "1", "--json").out)
    assert "".join(piece["text"] for piece in pieces) == first.out
    assert last["event"] == "finished"


def test_prompts_follow_the_vocabularys_policy(trained: runs.Run, run: Command) -> None:
    ran = run("sample", "done", "--prompt", "l’", "--length", "5")
    assert ran.code == 0
    assert "read '’' as \"'\"" in ran.err
    assert len(ran.out) == 5
    assert_refused(run("sample", "done", "--prompt", "m€"), "'€' (U+20AC EURO SIGN) at position 1")
    assert_refused(run("sample", "done", "--length", "0", "--prompt", ""), "length: must not be", "prompt: must not be")


def test_an_export_is_loaded_by_transformers_and_by_this_program(
    trained: runs.Run, tmp_path: Path, run: Command
) -> None:
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "exported"
    ran = run("export", "latest", out)
    assert ran.code == 0
    assert lines_of(ran.out) == [str(out)]
    assert f"{trained.name}/step-" in ran.err
    assert transformers.GPT2LMHeadModel.from_pretrained(out).config.n_layer == 2
    ask = ["--length", "40", "--temperature", "0", "--prompt", "ma re"]
    assert run("sample", out, *ask).out == run("sample", "done", *ask).out
    (tmp_path / "file").touch()
    assert_refused(run("export", "latest", tmp_path / "file"), "is not a folder")


def test_an_export_replaces_no_other_model(trained: runs.Run, tmp_path: Path, run: Command) -> None:
    theirs = {"config.json": "{}", "model.safetensors": "weights", "added_tokens.json": "{}", ".git/config": "x"}
    out = tmp_path / "out"
    for name, content in theirs.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(content)
    assert_refused(run("export", "latest", out), f"is not empty and holds no export of {trained.name}: choose")
    assert {name: (out / name).read_text() for name in theirs} == theirs
    assert len(list(out.iterdir())) == len(theirs)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "training.json").write_text(json.dumps({"source": "bundled/step-1"}))
    assert_refused(run("export", "latest", tmp_path / "notes"), "is not empty")
    assert run("export", "latest", out, "--force").code == 0
    assert json.loads((out / "config.json").read_text())["n_layer"] == 2
    assert (out / ".git/config").read_text() == "x"


def test_the_same_run_is_exported_to_the_same_folder_again(
    trained: runs.Run, tmp_path: Path, run: Command, verse: Path
) -> None:
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    assert run("export", "done", out).code == 0
    first = (out / "model.safetensors").stat().st_size
    (out / "README.md").write_text("mine")
    shutil.copytree(out, out / ".export.tmp")  # as an export that was killed leaves it
    assert run("export", "done", out, "--half", "--checkpoint", "last").code == 0
    assert (out / "model.safetensors").stat().st_size < first
    assert (out / "README.md").read_text() == "mine"
    assert not (out / ".export.tmp").exists()
    assert run("train", "--corpus", verse, *FLAGS, "--name", "other", "--quiet").code == 0
    assert_refused(run("export", "other", out), "holds no export of")


def test_an_export_that_fails_leaves_nothing_behind(
    trained: runs.Run, tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, room = os.replace, 0

    def full(source: Path, target: Path) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(28, "No space left on device")
        replace(source, target)

    assert run("export", "done", tmp_path / "old").code == 0
    before = {file.name: file.read_bytes() for file in (tmp_path / "old").iterdir()}
    monkeypatch.setattr("engine.model_folder.os.replace", full)
    for name in ("new", "old"):
        assert_refused(run("export", "done", tmp_path / name, "--half"), "No space left on device")
    assert not (tmp_path / "new").exists()
    assert {file.name: file.read_bytes() for file in (tmp_path / "old").iterdir()} == before
    room = 3  # some files are moved: no model yet, and the same run may try again
    assert_refused(run("export", "done", tmp_path / "new"), "No space left on device")
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert not (tmp_path / "new" / "config.json").exists()
    room = 100
    assert run("export", "done", tmp_path / "new").code == 0


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_exported_files_have_the_permissions_that_the_umask_leaves(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert main(["export", "bundled", str(tmp_path / "out")]) == 0
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()} == {mode}


def test_every_field_is_listed_with_its_default(run: Command) -> None:
    ran = run("fields")
    assert ran.code == 0
    listed = lines_of(ran.out)
    assert len(listed) == len(dataclasses.fields(spec("x")))
    assert any(line.startswith("--learning-rate") and "[0.001]" in line for line in listed)


# -- processes: signals and pipes --------------------------------------------------------------------------------------

LONG = flags(steps=100_000, evaluate_every=500, sample_every=0, schedule="constant")


def read_until(child: subprocess.Popen[str], kind: str) -> list[dict[str, Any]]:
    """Lines up to the first event of a kind."""
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(json.loads(line))
        if lines[-1]["event"] == kind:
            return lines
    raise AssertionError(f"it ended without {kind}")


def rest_of(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What it still prints until it ends; ``communicate`` would pass over lines that were read ahead."""
    assert child.stdout is not None
    assert child.stderr is not None
    rest = child.stdout.read(), child.stderr.read()
    child.wait(60)
    return rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_interrupted_training_saves_and_a_resume_continues_exactly(
    number: signal.Signals, verse: Path, run: Command
) -> None:
    arguments = [sys.executable, "-m", "llmlab_tui", "train", "--corpus", str(verse), *LONG, "--json"]
    with process(arguments) as child:
        first = read_until(child, "step")
        os.kill(child.pid, signal.SIGHUP)  # the terminal is gone: no reason to end
        first += read_until(child, "step")
        os.kill(child.pid, number)
        rest, err = rest_of(child)
        assert child.returncode == 130
        assert err == ""
    first += records(rest)
    last = first[-1]
    assert (last["event"], last["reason"]) == ("finished", "stopped")
    found = runs.find(home.runs(), "latest")
    step = last["step"]
    assert (found.checkpoints / f"step-{step:06d}").is_dir()
    ran = run("resume", "latest", "--steps", step + 20, "--json")
    assert ran.code == 0
    second = records(ran.out)
    assert [line["step"] for line in second if line["event"] == "started"] == [step]
    both = [happened.from_dict(line) for line in first + second]
    made = spec(verse, steps=step + 20, evaluate_every=500, sample_every=0, schedule="constant")
    assert measured(both) == measured(train(made))


def test_two_processes_train_pause_and_stop_and_one_resumes(verse: Path, run: Command) -> None:
    arguments = [sys.executable, "-m", "llmlab_tui", "train", "--corpus", str(verse), *LONG, "--gpus", "2", "--json"]
    with process(arguments) as child:
        first = read_until(child, "step")
        found = runs.find(home.runs(), "latest")
        for message, told in ((Pause(), "paused"), (Continue(), "continued")):
            assert owner.send(found, message)
            first += read_until(child, told)
        first += read_until(child, "step")
        os.kill(child.pid, signal.SIGINT)
        rest, err = rest_of(child)
        assert (child.returncode, err) == (130, "")
    first += records(rest)
    assert (first[-1]["event"], first[-1]["reason"]) == ("finished", "stopped")
    step = first[-1]["step"]
    ran = run("resume", "latest", "--steps", step + 20, "--gpus", "1", "--json")
    assert ran.code == 0
    several = {line["step"]: line["loss"] for line in first + records(ran.out) if line["event"] == "step"}
    assert list(several) == list(range(1, step + 21))
    made = spec(verse, steps=20, evaluate_every=500, sample_every=0, schedule="constant")
    alone = {event.step: event.loss for event in train(made) if isinstance(event, happened.Step)}
    assert max(abs(several[step] - alone[step]) for step in alone) < 2e-6


def test_a_second_signal_ends_at_once(verse: Path) -> None:
    arguments = [sys.executable, "-m", "llmlab_tui", "train", "--corpus", str(verse), *LONG, "--json"]
    with process(arguments) as child:
        first = read_until(child, "step")
        # Stopped, the process finds both signals when it goes on, before it has had time to save.
        os.kill(child.pid, signal.SIGSTOP)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            os.kill(child.pid, number)
        rest, err = rest_of(child)
        assert child.returncode == 130
        assert "Traceback" not in err
    assert "finished" not in [line["event"] for line in first + records(rest)]
    found = runs.find(home.runs(), "latest")
    assert list(found.checkpoints.glob("step-*")) == []
    assert summarise(found).state == "stopped"


BLOCKS = """
import sys, threading
from engine.gpt.trainer import Trainer
from engine.runs import owner
from llmlab_tui.__main__ import main
owner.GRACE, blocked, step = float(sys.argv.pop(1)), sys.argv.pop(1), Trainer.step

def stuck():
    open(blocked, "x").close()
    threading.Event().wait()

Trainer.step = lambda self: step(self) if self.position.step < 30 else stuck()
main()
"""


@pytest.mark.parametrize("grace", [0.5, 1000.0])
def test_a_training_whose_step_blocks_is_stopped_and_a_resume_continues_exactly(
    grace: float, verse: Path, tmp_path: Path, run: Command
) -> None:
    made = flags(steps=40, evaluate_every=10, save_every=0, sample_every=0, schedule="constant")
    blocked = tmp_path / "blocked"
    given = [str(grace), str(blocked), "train", "--corpus", str(verse), *made, "--json"]
    with process([sys.executable, "-c", BLOCKS, *given]) as child:
        first = read_until(child, "evaluated")
        while first[-1]["step"] < 30:
            first += read_until(child, "evaluated")
        found = runs.find(home.runs(), "latest")
        while not (found.checkpoints / "step-000030").is_dir() or not blocked.exists():
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGTERM)
        while grace > 100 and child.poll() is None:  # signals that come at the same moment are one
            time.sleep(0.2)
            child.send_signal(signal.SIGTERM)
        rest, err = rest_of(child)
        assert child.returncode == 130
        assert err == ""
    first += records(rest)
    last = untimed(records(found.events.read_text("utf-8"))[-1])
    assert (last["event"], last["reason"], last["step"]) == ("finished", "stopped", 30)
    assert (first[-1] == last) is (grace < 100)
    ran = run("resume", "latest", "--json")
    assert ran.code == 0
    second = records(ran.out)
    assert [line["step"] for line in second if line["event"] == "started"] == [30]
    both = [happened.from_dict(line) for line in first + second]
    assert measured(both) == measured(
        train(spec(verse, steps=40, evaluate_every=10, sample_every=0, schedule="constant"))
    )


def test_a_reader_that_goes_away_ends_the_training_cleanly(verse: Path) -> None:
    arguments = [sys.executable, "-m", "llmlab_tui", "train", "--corpus", str(verse), *LONG, "--json"]
    with process(arguments) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        json.loads(child.stdout.readline())
        child.stdout.close()
        assert child.wait(60) == 0
        assert child.stderr.read() == ""
    found = runs.find(home.runs(), "latest")
    *_, last = records(found.events.read_text("utf-8"))
    assert last["reason"] == "stopped"
    assert (found.checkpoints / f"step-{last['step']:06d}").is_dir()


def test_a_reader_of_verse_that_goes_away_leaves_no_traceback(trained: runs.Run) -> None:
    arguments = [sys.executable, "-m", "llmlab_tui", "sample", "done", "--length", "100000"]
    with process(arguments) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(3)
        child.stdout.close()
        assert child.wait(60) in (0, 1)
        assert child.stderr.read() == ""


@pytest.mark.usefixtures("unforked")
def test_the_program_as_a_process_exits_with_the_commands_code(verse: Path) -> None:
    done = command("train", "--corpus", verse, *flags(steps=2))
    assert done.returncode == 0, done.stderr
    assert done.stdout == runs.find(home.runs(), "latest").name + "\n"
    weights(runs.find(home.runs(), "latest"), 2)
    refused = command("resume", "none")
    assert refused.returncode == 2
    assert lines_of(refused.stderr)[-1].startswith("llmlab-tui: no run is called 'none'")


def test_events_of_a_terminal_that_is_gone_are_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui import output
    from tui.command import narrate

    def gone(descriptor: int, content: bytes) -> int:
        raise OSError(5, "Input/output error")

    started = Finished("steps", 1, None, "run")
    with monkeypatch.context() as patch:
        patch.setattr(output.os, "write", gone)
        narrate.Narrator(as_json=False).tell(started)
        narrate.Narrator(as_json=True).tell(started)

    def closed(descriptor: int, content: bytes) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    with monkeypatch.context() as patch:
        patch.setattr(output.os, "write", closed)
        with pytest.raises(BrokenPipeError):
            narrate.Narrator(as_json=True).tell(started)


def test_every_event_can_be_told(capfd: pytest.CaptureFixture[str]) -> None:
    from tui.command.narrate import Narrator

    candidate = happened.Candidate(3, "x\x1b[2J", 0.5, 0.5, 0.0, "top_k")
    fill: dict[str, Any] = {
        "int": 3, "float": 0.5, "str": "x\x1b[2J", "bool": True, "tuple[Candidate,": (candidate,),
        "tuple[str,": ("x\x1b[2J", "y"), "tuple[float,": (0.5, 0.25), "tuple[Any,": (),
        "dict[str,": {
            "interval": [0.1, 0.9], "accuracy": 0.5, "macro_f1": 0.5, "log_loss": 0.7, "trained_parameters": 3,
            "seconds": 1.5, "ndcg@10": 0.5, "recall@100": 0.9, "queries_per_second": 9.0, "index_bytes": 7,
            "index_seconds": 0.5,
        },
    }  # fmt: skip
    for kind in happened.Event.__subclasses__():
        if kind.__module__ != "engine.runs.events":  # a pane's own, which never leave it
            continue
        fields = {name: fill[str(f.type).split(" ")[0]] for name, f in kind.__dataclass_fields__.items()}
        if kind is Started:
            fields |= {"run": "r", "corpus": "c", "device": "d", "preset": "p", "precision": "q", "memory_free": None}
        event = kind(**fields)
        for as_json in (True, False):
            Narrator(as_json=as_json).tell(event)
        out, _ = capfd.readouterr()
        assert happened.from_dict(json.loads(out)) == (None if kind in happened.UNRECORDED else event)
