"""GGUF files: converted once to what transformers computes from the weights that were written into them."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import platformdirs
import pytest
import tinygguf
import tinylm
import torch

from checkpoints import home
from engine.lm import find as lm
from engine.lm import gguf_file
from engine.runs.events import Event, Progress
from engine.runs.messages import Control, Stop

transformers = pytest.importorskip("transformers")

IDS = [5, 90, 17, 260, 33, 8, 8, 121, 250, 3, 77, 140]
SIZES = {"vocab_size": tinylm.VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5}
FIELDS = {"context_length": 64, "embedding_length": 64, "feed_forward_length": 96, "block_count": 2}
FIELDS |= {"attention.head_count": 4, "attention.head_count_kv": 2, "attention.layer_norm_rms_epsilon": 1e-5}
HEAD = {"head_dim": 32, "initializer_range": 0.2}
LENGTH = {"attention.key_length": 32}
GEMMA = {"sliding_window": 8, "query_pre_attn_scalar": 256}
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama": ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e4}}, {"rope.freq_base": 5e4}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}, {}),
    "qwen3": ("Qwen3", HEAD, LENGTH),
    "gemma": ("Gemma", HEAD, LENGTH),
    "gemma2": ("Gemma2", HEAD | GEMMA, LENGTH | {"attention.sliding_window": 8, "final_logit_softcapping": 30.0}),
    "gemma3": ("Gemma3", HEAD | GEMMA, LENGTH | {"attention.sliding_window": 8, "rope.freq_base": 1e6}),
}


def model_of(architecture: str, **changes: Any) -> Any:
    """A random model whose numbers float16 can hold, so that nothing is lost on the way."""
    torch.manual_seed(4)
    if architecture == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=tinylm.VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        stem, given, _ = MODELS[architecture]
        config = getattr(transformers, f"{stem}{'Text' * (stem == 'Gemma3')}Config")(**{**SIZES, **given, **changes})
        model = getattr(transformers, f"{stem}ForCausalLM")(config)
    with torch.no_grad():  # a norm or a bias that stayed where it began would hide a mistake
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.1
            if "norm" in name and architecture.startswith("gemma"):
                noise = (noise * 64).round() / 64  # the one that llama.cpp adds must not round it
                parameter.zero_()
            parameter.copy_((parameter + noise).half())
    return model.eval()


def fields_of(architecture: str) -> dict[str, Any]:
    if architecture == "gpt2":
        return {
            "context_length": 64, "embedding_length": 32, "feed_forward_length": 128, "block_count": 2,
            "attention.head_count": 4, "attention.layer_norm_epsilon": 1e-5,
        }  # fmt: skip
    return FIELDS | MODELS[architecture][2]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([IDS])).logits[0]
    return found


def nothing() -> Iterator[Event]:
    yield from ()


@pytest.mark.parametrize("architecture", ["gpt2", *MODELS])
def test_logits_are_those_of_the_model_that_was_written(architecture: str, tmp_path: Path) -> None:
    file, model = tmp_path / "tiny.gguf", model_of(architecture)
    tinygguf.write(file, architecture, model, fields_of(architecture))
    loaded = tinylm.load(file)
    assert torch.allclose(loaded.feed(IDS, every=True), logits(model), atol=2e-4, rtol=1e-4)
    assert loaded.context == 64
    assert loaded.eos == {tinylm.VOCABULARY - 1}
    assert loaded.source == str(file)


def test_quantised_matrices_are_dequantised_block_by_block(tmp_path: Path) -> None:
    file, model = tmp_path / "tiny.gguf", model_of("llama")
    tinygguf.write(file, "llama", model, fields_of("llama"), quantised=lambda name: "ffn_up" in name)
    from gguf import GGUFReader

    stored = {tensor.name: tensor.data for tensor in GGUFReader(file).tensors}
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            rows = stored[f"blk.{number}.ffn_up.weight"]
            layer.mlp.up_proj.weight.copy_(torch.tensor(np.array([_numbers(row.tobytes()) for row in rows])).half())
    assert torch.allclose(tinylm.load(file).feed(IDS, every=True), logits(model), atol=2e-4, rtol=1e-4)


def _numbers(row: bytes) -> list[float]:
    """Q4_1 as llama.cpp defines it: of 32 numbers a scale, a least one, then 16 bytes of low and of high halves."""
    found: list[float] = []
    for start in range(0, len(row), 20):
        scale, least = np.frombuffer(row[start : start + 4], np.float16).astype(np.float32)
        halves = row[start + 4 : start + 20]
        found += [float(scale * (byte & 15) + least) for byte in halves]
        found += [float(scale * (byte >> 4) + least) for byte in halves]
    return found


def test_it_is_converted_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    tinygguf.write(file, "llama", model_of("llama"), fields_of("llama"))
    tinylm.load(file)
    (first,) = home.models().glob("*")
    made = (first / "model.safetensors").stat()
    tinylm.load(file)
    assert (first / "model.safetensors").stat() == made
    tinygguf.write(file, "llama", model_of("llama", tie_word_embeddings=True), fields_of("llama"))
    tinylm.load(file)
    assert len(list(home.models().glob("*"))) == 2


def test_large_models_are_written_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, model = tmp_path / "tiny.gguf", model_of("llama")
    tinygguf.write(file, "llama", model, fields_of("llama"))
    monkeypatch.setattr(gguf_file, "SHARD", 20_000)
    folder = tmp_path / "model"
    folder.mkdir()
    gguf_file.convert(file, folder, lambda done, total: None)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    found = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert torch.allclose(logits(found), logits(model), atol=1e-5)
    assert torch.allclose(tinylm.load(folder).feed(IDS, every=True), logits(model), atol=2e-4)


def test_the_tokenizer_splits_as_the_file_says(tmp_path: Path) -> None:
    spelled = {}
    for pre in ("gpt-2", "smollm"):
        file = tmp_path / f"{pre}.gguf"
        tinygguf.write(file, "llama", model_of("llama"), fields_of("llama"), {"pre": pre, "bos": pre == "smollm"})
        found = tinylm.load(file).tokenizer
        encoding = found.encode("one 12", special=True)
        spelled[pre] = [found.spelled(token) for token in encoding.ids]
        assert found.encode(tinylm.END).ids == [tinylm.VOCABULARY - 1]
    assert spelled["gpt-2"][-1] == "12"
    assert spelled["smollm"][-2:] == ["1", "2"]
    assert len(spelled["smollm"]) == len(spelled["gpt-2"]) + 2  # the start of text and a digit


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_an_interrupted_conversion_leaves_nothing(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tiny.gguf"
    tinygguf.write(file, "llama", model_of("llama"), fields_of("llama"))
    started = tinylm.held_children(monkeypatch)
    control = Control()
    task = lm.load(str(file), control)
    assert isinstance(next(task), Progress)
    if how == "killed":
        while not started:
            next(task)
        half = home.models() / f"tmp-999999-{gguf_file.place(file).name}"
        half.mkdir(parents=True)
        (half / "model.safetensors").write_bytes(b"half")
        started[0].kill()
        with pytest.raises(lm.NoModel, match="ended by the system"):
            tinylm.drive(task)
    else:
        control.send(Stop())
        with pytest.raises(lm.LoadingStopped):
            tinylm.drive(task)
    assert started[0].returncode == -signal.SIGKILL
    assert list(home.models().glob("*")) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("magic", "does not begin as a GGUF file"),
        ("cut", "cannot be converted"),
        ("architecture", "mamba is not read from GGUF"),
        ("split", "llama-gguf-split --merge"),
        ("rope", "stretched by yarn"),
        ("tensor", "holds blk.0.sink_q.weight"),
    ],
)
def test_what_is_refused_says_what_to_do(change: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    fields = fields_of("llama") | ({"rope.scaling.type": "yarn"} if change == "rope" else {})
    tinygguf.write(file, "llama", model_of("llama"), fields, parts=2 if change == "split" else 1)
    content = file.read_bytes()
    changed = {
        "magic": b"GGML" + content[4:],
        "cut": content[: len(content) // 2],
        "architecture": content.replace(b"llama", b"mamba"),
        "tensor": content.replace(b"blk.0.attn_q.", b"blk.0.sink_q."),
    }
    file.write_bytes(changed.get(change, content))
    with pytest.raises(lm.NoModel, match=reason):
        tinylm.load(file)


REAL = Path(platformdirs.user_data_dir("llmlab-tui", appauthor=False)) / "cache" / "models" / "smollm2-gguf"


@pytest.mark.skipif(not list(REAL.glob("*.gguf")), reason="SmolLM2 was not fetched")
def test_smollm2_is_what_the_reader_of_transformers_makes_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slow in ("GGUFReader", "get_tensor_name_map"):  # transformers calls them again and again for the same
        monkeypatch.setattr(f"gguf.{slow}", functools.cache(getattr(gguf, slow)))
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    (file,) = REAL.glob("*.gguf")
    folder = tmp_path / "smollm2"
    tinylm.drive(gguf_file.converted(file, nothing, folder))
    config = transformers.AutoConfig.from_pretrained(REAL, gguf_file=file.name)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    tensors = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)["tensors"]
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.load_state_dict(tensors, strict=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(REAL, gguf_file=file.name)
    ids = tokenizer("Who knows if God exists, but for sure I").input_ids
    with torch.inference_mode():
        wanted = model.eval()(torch.tensor([ids])).logits[0].log_softmax(-1)
    loaded = tinylm.load(folder)
    assert loaded.tokenizer.encode("Who knows if God exists, but for sure I").ids == ids
    found = loaded.feed(ids, every=True).log_softmax(-1)
    likely = wanted > wanted.amax(-1, keepdim=True) - 5
    assert float((found - wanted)[likely].abs().max()) < 0.02  # float16 rounds the weights
    assert found.argmax(-1).tolist() == wanted.argmax(-1).tolist()
