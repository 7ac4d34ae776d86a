"""No loop waits for the device in a batch, and none needs float64 there: a made-up device counts and refuses."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from fakedevice import FakeDevice
from trainings import HEADS, TRAININGS
from workbench import NANO, VERSE, spec

from data.corpus import from_text
from engine.comparison import heads
from engine.device import place, send
from engine.encoders import encode as encoding
from engine.encoders import epochs
from engine.encoders import find as encoders
from engine.encoders.attention import PADDED
from engine.encoders.encode import encode, encode_now, machine_for
from engine.encoders.padding import padded
from engine.gpt.trainer import Trainer
from engine.lm import processors
from engine.lm.sampling import Sampling
from engine.runs.messages import Control


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(epochs, "INTERVAL", 1e9)
    monkeypatch.setattr("engine.device.physical_cores", lambda: 1)


@pytest.fixture
def encoder(tmp_path: Path) -> encoders.Encoder:
    found: encoders.Encoder = tiny.finish(encoders.find(str(tiny.bert(tmp_path / "bert"))))[1]
    return found


@pytest.mark.parametrize("name", TRAININGS)
def test_no_batch_of_a_training_waits_for_the_device(name: str, encoder: encoders.Encoder) -> None:
    training = TRAININGS[name](encoder, 40, 4)
    assert len(training.batches(0)) >= 5
    training.step = 1  # the first step of a bi-encoder is shown at once
    with FakeDevice() as device:
        assert tiny.finish(training.epoch(0))[0] == []
    assert device.reads == ["tolist"]  # of all losses, at the end
    assert device.copies == 0
    assert training.trained_loss > 0


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_runs_where_there_is_no_float64(name: str, encoder: encoders.Encoder) -> None:
    with FakeDevice(float64=False):
        training = TRAININGS[name](encoder, 40, 8)
        events, _ = tiny.finish(training.run(None))
    plain = TRAININGS[name](encoder, 40, 8)
    again, _ = tiny.finish(plain.run(None))
    assert [replace(one, seconds_left=None) for one in events] == [replace(one, seconds_left=None) for one in again]
    assert training.history == plain.history


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_trained_without_waiting_in_a_batch_and_without_float64(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(heads, "BATCH", 64)
        reads = []
        for count in (200, 600):
            with FakeDevice(float64=False) as device:
                told, _ = tiny.finish(HEADS[name](count))
            epochs_run = len(told)
            reads.append([device.reads.count(one) / epochs_run for one in ("item", "__float__", "nonzero", "__bool__")])
            assert not {"__getitem__", "__setitem__"} & set(device.reads)
        assert reads[0] == reads[1]  # more batches ask no more often
    again, _ = tiny.finish(HEADS[name](600))
    assert [replace(one, seconds_left=None) for one in told] == [replace(one, seconds_left=None) for one in again]


@pytest.mark.parametrize("kind", ["bert", "gpt2", "distilbert"])
def test_a_padded_batch_is_not_asked_whether_it_is_padded_and_gives_the_same(kind: str, tmp_path: Path) -> None:
    encoder: encoders.Encoder = tiny.finish(encoders.find(str(getattr(tiny, kind)(tmp_path / kind))))[1]
    texts, _ = tiny.texts(9)
    ids, mask = padded(encoder.ids(texts, 32), "cpu")
    assert not mask.all()
    model, classifier = encoder.open(), encoder.open_classifier(["a", "b"]).eval()
    with FakeDevice() as device, torch.inference_mode():
        there, of_device = send(ids, "cpu"), send(mask, "cpu")
        found = model(input_ids=there, attention_mask=of_device).last_hidden_state
        logits = classifier(input_ids=there, attention_mask=of_device).logits
    assert device.reads == []
    for each in (model, classifier):
        each.set_attn_implementation("sdpa")
    with torch.inference_mode():
        assert torch.equal(found, model(input_ids=ids, attention_mask=mask).last_hidden_state)
        assert torch.equal(logits, classifier(input_ids=ids, attention_mask=mask).logits)
    classifier.save_pretrained(tmp_path / "saved")
    assert PADDED not in (tmp_path / "saved" / "config.json").read_text()


class Inline(ThreadPoolExecutor):
    """Computes at once, in the thread that asks: a made-up device sees only its own thread."""

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **options))
        return done


def test_texts_are_encoded_without_waiting_in_a_batch(
    encoder: encoders.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "ThreadPoolExecutor", Inline)
    texts, _ = tiny.texts(60)
    machine = machine_for(encoder, device="cpu")
    for budget in (10_000, 40):
        machine.budget = budget
        with FakeDevice(float64=False) as device:
            encode_now(texts, machine, 16, "mean")
        assert device.reads == ["cpu"]


def test_a_training_step_and_an_evaluation_need_no_float64_and_wait_once() -> None:
    trainer = Trainer(spec("verse", **NANO), from_text(VERSE, name="verse", source="test"), place("cpu"))
    for group in trainer.optimizer.param_groups:
        group["lr"] = group["lr"].float()  # as on every device but a CPU
    with FakeDevice(float64=False) as device:
        for _ in range(70):
            trainer.step()
        assert device.reads == []
        every = list(trainer.evaluate())
    assert device.reads == ["tolist"]
    assert len(every) >= 1


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(greedy=True), Sampling(top_k=0, top_p=0.9, min_p=0.01)])
def test_a_token_is_drawn_where_there_is_no_float64(sampling: Sampling, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    logits, seen = 3 * torch.randn(5000), torch.arange(7)
    wanted = processors.choose(logits, replace(sampling, repetition_penalty=1.2), seen, 0.37, 10)
    monkeypatch.setattr(processors, "has_float64", lambda device: False)
    with FakeDevice(float64=False):
        chosen, row = processors.choose(logits, replace(sampling, repetition_penalty=1.2), seen, 0.37, 10)
        scored = processors.score(logits[None], torch.tensor([7]), 10)
    assert torch.equal(chosen, wanted[0])
    assert row.tolist() == wanted[1].tolist()
    assert scored.dtype == torch.float32


def test_the_made_up_device_counts_and_refuses() -> None:
    with FakeDevice(float64=False) as device:
        there, here = torch.ones(3), torch.tensor([1.0, 2.0])
        assert float(here.double().sum()) == 3  # the host's own
        assert not device.reads
        with pytest.raises(TypeError, match="float64"):
            there.double()
        with pytest.raises(TypeError, match="float64"):
            here.double().to("cpu")
        assert there.cpu().double().sum().item() == 3
        _ = there[there > 0]
        assert bool(there.sum() > 0)
        there.tolist()
    assert device.reads == ["cpu", "__getitem__", "__bool__", "tolist"]
    assert device.copies == 1  # of what was refused
    with FakeDevice() as device:
        torch.tensor([1.0]).to("cpu")
        send(torch.tensor([1.0]), "cpu")
    assert device.copies == 1


def test_features_are_the_same(encoder: encoders.Encoder) -> None:
    texts, _ = tiny.texts(30)
    with FakeDevice(float64=False), tiny.uncached():
        found = tiny.finish(encode(texts, encoder, Control(), device="cpu"))[1].pooled("last4")
    plain = tiny.finish(encode(texts, encoder, Control(), device="cpu"))[1].pooled("last4")
    assert np.array_equal(found, plain)
