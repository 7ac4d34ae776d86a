"""Models of the Hub, on good days and on bad ones, with the real libraries and a stand-in of the Hub."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_models
import hub_server
import pytest
import tinylm
from hub_models import DISTILBERT, GPT2, MINILM
from hub_server import StandIn
from tiny import finish
from workbench import PROJECT, command, notices, process, records

from engine import hub, hub_requests
from engine.encoders import find as encoders
from engine.lm import find as lm
from engine.lm import smollm2
from engine.runs import background
from engine.runs.events import Event, Progress
from engine.runs.messages import Control, Stop, Stopped
from engine.tokenization import find as tokenizers
from engine.tokenization.encoding import NoTokenizer

BIG = bytes(range(256)) * 4096
"""1 MiB"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each model."""
    folder = tmp_path_factory.mktemp("models")
    for name, write in ((GPT2, hub_models.gpt2), (DISTILBERT, hub_models.distilbert), (MINILM, hub_models.minilm)):
        write(folder / name)
    return folder


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "LOOK", 0.02)
    monkeypatch.setattr(hub_requests, "TIMEOUT", 0.5)


def nothing() -> Iterator[Event]:
    """What a task obeys that nobody stops."""
    return iter(())


def get(name: str = "someone/model", file: str = "model.safetensors") -> tuple[list[Event], Path]:
    """A file by the Hub, and what was told on the way."""
    events, path = finish(hub.download(name, file, nothing))
    return events, path


def stopped_when_silent(stand_in: StandIn) -> Control:
    """A stop comes once the Hub leaves a request without an answer, or in the midst of one."""
    control = Control()

    def stop() -> None:
        if stand_in.waiting.wait(30):
            control.send(Stop())

    threading.Thread(target=stop, daemon=True).start()
    return control


def partial_files() -> list[Path]:
    """What downloads have left half written."""
    return list(hub.cache().rglob("*.incomplete"))


# On good days: found, downloaded, cached, used again.


def test_a_language_model_is_downloaded_once(stand_in: StandIn, models: Path) -> None:
    stand_in.publish(GPT2, models / GPT2)
    loaded = tinylm.load("gpt2")
    assert loaded.source == f"the Hub ({GPT2})"
    assert not [asked for asked in stand_in.asked if "pytorch_model" in asked or "vocab.json" in asked]
    stand_in.asked.clear()
    again = tinylm.load("gpt2")
    assert again.source == f"Hugging Face cache ({GPT2})"
    assert stand_in.asked == []
    assert lm.gpt2_cached()
    assert tokenizers.load("gpt2").source == f"Hugging Face cache ({GPT2})"
    assert stand_in.asked == []


def test_a_model_of_the_hub_computes_what_transformers_does(stand_in: StandIn, models: Path) -> None:
    import torch
    from transformers import GPT2LMHeadModel

    stand_in.publish(GPT2, models / GPT2)
    ids = [5, 9, 250, 3]
    theirs: Any = GPT2LMHeadModel.from_pretrained(models / GPT2)
    expected = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
    ours = tinylm.load(GPT2).feed(ids, every=True)
    torch.testing.assert_close(torch.as_tensor(ours).float().log_softmax(-1), expected, rtol=1e-4, atol=1e-4)


def test_an_older_name_of_a_model_finds_it(stand_in: StandIn, models: Path) -> None:
    """The Hub redirects to the repository that the name has become; the cache keeps it under the older one."""
    stand_in.publish(DISTILBERT, models / DISTILBERT)
    stand_in.rename("distilbert-base-uncased", DISTILBERT)
    hub.fetch("distilbert-base-uncased", "model.safetensors")
    stand_in.asked.clear()
    _, encoder = finish(encoders.find("auto"))
    assert encoder.source == "the Hub (distilbert-base-uncased)" or "cache" in encoder.source
    assert not [asked for asked in stand_in.asked if "/large/" in asked]
    assert encoder.ids(["the app"], 8)


@pytest.mark.parametrize(("name", "repository"), [("auto", DISTILBERT), (MINILM, MINILM)])
def test_an_encoder_is_downloaded_once(name: str, repository: str, stand_in: StandIn, models: Path) -> None:
    stand_in.publish(repository, models / repository)
    events, encoder = finish(encoders.find(name))
    assert encoder.source == f"the Hub ({repository})"
    assert "downloading model.safetensors of" in " ".join(e.what for e in events if isinstance(e, Progress))
    stand_in.asked.clear()
    _, again = finish(encoders.find(name))
    assert again.source == f"Hugging Face cache ({repository})"
    assert again.identity == encoder.identity
    assert stand_in.asked == []
    if repository == MINILM:
        assert (encoder.sentence.pooling, encoder.positions) == (("cls",), 32)


def test_a_model_in_parts(stand_in: StandIn, tmp_path: Path) -> None:
    model = tinylm.write_gpt2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    stand_in.publish("someone/parts", tmp_path)
    assert tinylm.load("someone/parts").source == "the Hub (someone/parts)"
    assert len([asked for asked in stand_in.files() if "/large/" in asked]) > 2
    stand_in.asked.clear()
    assert tinylm.load("someone/parts").source == "Hugging Face cache (someone/parts)"
    assert stand_in.asked == []


def test_a_revision_is_another_model(stand_in: StandIn, models: Path) -> None:
    stand_in.publish("someone/model", models / GPT2)
    commit = stand_in.publish("someone/model", {**_files(models / GPT2), "config.json": b"{}"}, revision="v2")
    assert hub.fetch("someone/model@v2", "config.json").read_bytes() == b"{}"
    assert hub.fetch(f"someone/model@{commit}", "config.json").read_bytes() == b"{}"
    assert hub.fetch("someone/model", "config.json").read_bytes() != b"{}"
    with pytest.raises(hub.NotOnHub, match="no revision v3"):
        hub.fetch("someone/model@v3", "config.json")


def test_all_files_are_of_one_commit(stand_in: StandIn, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The branch moves after the first file of a model."""
    stand_in.publish("someone/model", models / GPT2)
    loading = hub.model_folder("someone/model", nothing)
    event = next(loading)
    while "config.json" in getattr(event, "what", ""):
        event = next(loading)
    stand_in.publish("someone/model", {**_files(models / GPT2), "model.safetensors": b"another"})
    _, (folder, _) = finish(loading)
    assert (folder / "model.safetensors").read_bytes() == (models / GPT2 / "model.safetensors").read_bytes()


def test_a_repository_of_pickles_is_refused(stand_in: StandIn, models: Path) -> None:
    files = {name: content for name, content in _files(models / GPT2).items() if "safetensors" not in name}
    stand_in.publish("someone/pickles", files)
    with pytest.raises(lm.NoModel, match="holds no safetensors, and no other weights are loaded"):
        tinylm.load("someone/pickles")


def test_a_tokenizer_without_its_newest_file(stand_in: StandIn, models: Path) -> None:
    files = _files(models / GPT2)
    stand_in.publish("someone/older", {name: files[name] for name in ("config.json", "vocab.json", "merges.txt")})
    assert tokenizers.load("someone/older").size == tinylm.VOCABULARY
    stand_in.publish("someone/empty", {"config.json": b'{"model_type": "nothing known"}'})
    with pytest.raises(NoTokenizer, match=r"Give a folder with tokenizer\.json"):
        tokenizers.load("someone/empty")


def test_a_token_goes_to_the_hub_and_nowhere_else(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in.publish("someone/secret", {"config.json": b"{}", "model.safetensors": BIG}, token="hf_abc")
    with pytest.raises(hub.NotOnHub, match=r"no public repository of this name.*HF_TOKEN.*hf auth login"):
        get("someone/secret")
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    assert get("someone/secret")[1].read_bytes() == BIG
    assert "Bearer hf_abc" in stand_in.tokens


def test_a_tokenizer_is_downloaded_once(stand_in: StandIn) -> None:
    own = (PROJECT / "checkpoints" / "bundled" / "dante" / "tokenizer.json").read_bytes()
    stand_in.publish("someone/model", {"tokenizer.json": own})
    for source in ("the Hub", "Hugging Face cache"):
        found = tokenizers.load("someone/model")
        assert (found.source, found.kind, len(found.encode("la vita"))) == (
            f"{source} (someone/model)",
            "characters",
            7,
        )
    assert len(stand_in.files()) == 1
    assert tokenizers.load("gpt2").source == "bundled"  # this Hub has it not
    with pytest.raises(NoTokenizer, match="no public repository of this name"):
        tokenizers.load("nobody/model")


def test_smollm2_comes_from_the_hub_where_it_answers(stand_in: StandIn, tmp_path: Path) -> None:
    tinylm.write_llama(tmp_path / "llama")
    stand_in.publish(smollm2.REPOSITORY, tmp_path / "llama")
    for source in ("the Hub", "Hugging Face cache"):
        assert tinylm.load("smollm2").source.endswith(f"{source} ({smollm2.REPOSITORY})")
    assert tokenizers.load("smollm2").source == f"Hugging Face cache ({smollm2.REPOSITORY})"


# What the Hub refuses.


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"status": 401, "code": "GatedRepo"}, r"is gated: accept its terms.*HF_TOKEN.*hf auth login"),
        ({"status": 403, "code": "GatedRepo"}, r"is gated: accept its terms.*HF_TOKEN.*hf auth login"),
        ({"status": 401, "code": "RepoNotFound"}, r"no public repository.*HF_TOKEN.*hf auth login"),
        ({"status": 401}, r"denies access \(401 Unauthorized\).*HF_TOKEN.*hf auth login"),
        ({"status": 403}, r"denies access \(403 Forbidden\).*HF_TOKEN.*hf auth login"),
        ({"status": 404, "code": "RepoNotFound"}, "no public repository"),
        ({"status": 404}, "answered 404 Not Found"),
        ({"status": 429, "headers": {"Retry-After": "90"}}, r"limits requests \(429.*retry in 90 s.*HF_TOKEN"),
        ({"status": 500}, r"the Hub failed \(500 Internal Server Error\)"),
        ({"status": 503}, r"the Hub failed \(503 Service Unavailable\)"),
        ({"portal": True}, "a web page answers instead of the Hub"),
        (
            {"status": 302, "headers": {"Location": "http://localhost:9/login"}},
            "a web page answers instead of the Hub",
        ),
    ],
    ids=str,
)
def test_a_refusal_is_told_and_not_repeated(fault: dict[str, Any], says: str, stand_in: StandIn, models: Path) -> None:
    """By every kind of model; after an answer neither the request nor another name of the model is tried."""
    stand_in.publish(GPT2, models / GPT2)
    stand_in.publish("gpt2", models / GPT2)
    stand_in.fail("/resolve/", **fault)
    with pytest.raises(lm.NoModel, match=says):
        tinylm.load("gpt2")
    assert len([asked for asked in stand_in.asked if "/resolve/" in asked]) == 1
    with pytest.raises(encoders.NoEncoder, match=says):
        finish(encoders.find("someone/encoder"))
    with pytest.raises(NoTokenizer, match=says):
        tokenizers.load("someone/model")
    assert partial_files() == []


def test_a_refusal_of_the_weights_is_told(stand_in: StandIn, models: Path) -> None:
    """And the small files that came before do not make a model of it."""
    stand_in.publish(GPT2, models / GPT2)
    stand_in.fail("GET /large/", status=503)
    with pytest.raises(lm.NoModel, match="503 Service Unavailable"):
        tinylm.load("gpt2")
    assert not lm.gpt2_cached()
    assert partial_files() == []
    stand_in.heal()
    assert tinylm.load("gpt2").source == f"the Hub ({GPT2})"


def test_a_sentence_encoder_is_not_taken_for_another(stand_in: StandIn, models: Path) -> None:
    """A refused part of its layout would otherwise give other vectors under the same name."""
    stand_in.publish(MINILM, models / MINILM)
    stand_in.fail("sentence_bert_config", status=500)
    with pytest.raises(encoders.NoEncoder, match="500 Internal Server Error"):
        finish(encoders.find(MINILM))


# A network that loses things.


def test_bytes_total_and_speed_are_told(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a download that takes longer than a silence may."""
    monkeypatch.setattr(hub_requests, "SILENCE", 1.0)
    stand_in.publish("someone/model", {"model.safetensors": BIG})
    stand_in.fail("GET /large/", drip=len(BIG) // 130)
    events, path = get()
    assert path.read_bytes() == BIG
    told = [event for event in events if isinstance(event, Progress) and event.bytes_per_second is not None]
    assert {event.total for event in told} == {len(BIG)}
    done = [event.done for event in told]
    assert len(done) > 3
    assert done == sorted(set(done))
    assert all(event.bytes_per_second for event in told)


@pytest.mark.parametrize("how", ["end", "cut"])
def test_a_connection_that_is_cut_is_continued(how: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """From what was written; a reset may lose what the other end has sent, and nothing else."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", len(BIG) // 16)
    stand_in.publish("someone/model", {"model.safetensors": BIG})
    stand_in.fail("GET /large/", **{how: len(BIG) // 2}, times=1)
    events, path = get()
    assert path.read_bytes() == BIG
    assert len(stand_in.files()) == 2
    if how == "end":
        assert sum(count for place, count in stand_in.sent.items() if "/large/" in place) == len(BIG)
        told = [event for event in events if isinstance(event, Progress) and event.total]
        assert {event.total for event in told} == {len(BIG)}
        assert max(event.done for event in told) == len(BIG)


def test_a_file_of_another_length_is_refused(stand_in: StandIn) -> None:
    stand_in.publish("someone/model", {"model.safetensors": BIG})
    stand_in.fail("GET /large/", wrong_length=-1000)
    with pytest.raises(hub.NotOnHub, match="the download failed"):
        get()
    assert hub.cached("someone/model", "model.safetensors") is None


def test_what_killed_downloads_left_is_removed_and_not_counted(stand_in: StandIn) -> None:
    stand_in.publish("someone/model", {"model.safetensors": BIG})
    blobs = hub.cache() / "models--someone--model" / "blobs"
    blobs.mkdir(parents=True)
    for age, digest in enumerate(("0123", "4567")):
        (blobs / f"{digest}.456789ab.incomplete").write_bytes(bytes(10**7))
        os.utime(blobs / f"{digest}.456789ab.incomplete", (time.time() - 3600 * age,) * 2)
    events, _ = get()
    assert [file.name[:4] for file in partial_files()] == ["0123"]  # which may be written to
    assert max(event.done for event in events if isinstance(event, Progress)) <= len(BIG)


def test_what_another_process_downloads_is_left_alone(stand_in: StandIn) -> None:
    import fcntl

    stand_in.publish("someone/model", {"model.safetensors": BIG})
    part = hub.cache() / "models--someone--other" / "blobs" / "0123.456789ab.incomplete"
    lock = hub.cache() / ".locks" / "models--someone--other" / "0123.lock"
    for file in (part, lock):
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (time.time() - 3600,) * 2)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        get()
        assert partial_files() == [part]


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("HEAD .*config.json", {"silent": True}),
        ("GET /large/", {"silent": True}),
        ("GET /large/", {"halt": 1000}),
        ("GET .*tokenizer.json", {"halt": 10}),
    ],
    ids=["before the first answer", "before the file", "within the file", "within another file"],
)
def test_a_stop_is_obeyed_while_the_hub_is_silent(
    where: str, fault: dict[str, Any], stand_in: StandIn, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_requests, "TIMEOUT", 600.0)
    monkeypatch.setattr(hub_requests, "SILENCE", 600.0)
    stand_in.publish(GPT2, models / GPT2)
    stand_in.fail(where, **fault)
    with pytest.raises(lm.LoadingStopped):
        tinylm.drive(lm.load("gpt2", stopped_when_silent(stand_in)))
    if "halt" in fault:
        assert partial_files() == []
    assert hub_requests.answers()
    stand_in.clear()
    stand_in.publish(GPT2, models / GPT2)
    assert tinylm.load("gpt2").source == f"the Hub ({GPT2})"


@pytest.mark.parametrize("where", ["GET /large/", "GET .*tokenizer.json", "GET .*modules.json", "GET .*1_Pooling"])
def test_an_encoder_s_download_is_stopped(
    where: str, stand_in: StandIn, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is not taken for another encoder afterwards, with only some of its files."""
    monkeypatch.setattr(hub_requests, "SILENCE", 600.0)
    stand_in.publish("owner/encoder", models / MINILM)
    stand_in.fail(where, halt=10)
    with pytest.raises(Stopped):
        finish(encoders.find("owner/encoder", stopped_when_silent(stand_in)))
    stand_in.clear()
    stand_in.publish("owner/encoder", models / MINILM)
    assert finish(encoders.find("owner/encoder"))[1].sentence.pooling == ("cls",)


@pytest.mark.parametrize(
    ("where", "fault", "says"),
    [
        ("HEAD .*config.json", {"silent": True}, "the Hub does not answer"),
        ("GET /large/", {"halt": 1000}, "the Hub stopped sending"),
    ],
)
def test_a_silent_hub_is_given_up_and_not_asked_again(
    where: str, fault: dict[str, Any], says: str, stand_in: StandIn, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_requests, "SILENCE", 0.3)
    monkeypatch.setattr(hub_requests, "TIMEOUT", 0.2)
    stand_in.publish(GPT2, models / GPT2)
    stand_in.fail(where, **fault)
    with pytest.raises(lm.NoModel, match=says):
        tinylm.load("gpt2")
    stand_in.asked.clear()
    with pytest.raises(NoTokenizer, match="the Hub does not answer"):
        tokenizers.load("someone/other")
    assert stand_in.asked == []


@pytest.mark.parametrize("dead", [True, False], ids=["packets are dropped", "connections are refused"])
def test_without_a_network_what_is_cached_opens(
    dead: bool, stand_in: StandIn, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address is probed once for all."""
    for repository in (GPT2, MINILM, DISTILBERT):
        stand_in.publish(repository, models / repository)
    tinylm.load("gpt2")
    for name in (MINILM, "auto"):
        finish(encoders.find(name))
    probes: list[str] = []
    probe = hub_requests._ask

    def counted(address: str) -> bool:
        probes.append(address)
        return probe(address)

    monkeypatch.setattr(hub_requests, "_ask", counted)
    with hub_server.dropping() as url:
        hub_server.point_at(url if dead else "http://127.0.0.1:9", tmp_path / "hf", monkeypatch)
        assert tinylm.load("gpt2").source == f"Hugging Face cache ({GPT2})"
        for name, repository in ((MINILM, MINILM), ("auto", DISTILBERT)):
            assert finish(encoders.find(name))[1].source == f"Hugging Face cache ({repository})"
        assert tokenizers.load("gpt2").source.startswith("Hugging Face cache")
        with pytest.raises(lm.NoModel, match="the Hub does not answer"):
            tinylm.load("someone/other")
        assert tokenizers.load("wordpiece").source.startswith(("Hugging Face cache", "bundled"))
        assert len(probes) == 1


def test_auto_takes_what_is_there_when_the_hub_fails(stand_in: StandIn) -> None:
    stand_in.fail("", status=503)
    events, encoder = finish(encoders.find("auto"))
    assert encoder.name == "minilm"
    assert "503" in notices("encoder", events)[-1].text
    events, model = finish(lm.load("auto"))
    assert model.name == "bundled"
    assert "503" in notices("no_model", events)[-1].text


# The commands.


def test_a_command_downloads_once(stand_in: StandIn, models: Path) -> None:
    stand_in.publish("someone/model", models / GPT2)
    for source in ("the Hub", "Hugging Face cache"):
        said = command("tokenize", "la", "--tokenizer", "someone/model", "--json")
        assert said.returncode == 0, said.stderr
        assert records(said.stdout)[0]["source"] == f"{source} (someone/model)"
        files = stand_in.files()
    assert len([asked for asked in files if asked.endswith("tokenizer.json")]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_whose_download_is_silent(
    number: signal.Signals, stand_in: StandIn, models: Path
) -> None:
    """Which has told how many bytes there are, and of how many."""
    stand_in.publish(GPT2, models / GPT2)
    stand_in.fail("GET /large/", halt=1000)
    started = [sys.executable, "-m", "llmlab_tui", "generate", "la", "--model", "gpt2", "--json"]
    with process(started) as child:
        assert child.stdout is not None
        events = (json.loads(line) for line in child.stdout if "model.safetensors" in line)
        told = next(event for event in events if event["done"])
        child.send_signal(number)
        _, said = child.communicate(timeout=10)
    assert (told["done"], told["total"]) == (1000, (models / GPT2 / "model.safetensors").stat().st_size)
    assert child.returncode == 130, said
    assert "Traceback" not in said
    assert partial_files() == []


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
