"""Models as other programs leave them: Trainer folders, sharded weights, nanoGPT, revisions; and what is refused."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.lm import find as lm
from engine.lm.model import OwnModel

transformers = pytest.importorskip("transformers")

IDS = [5, 90, 17, 260, 33, 8, 8, 121, 250, 3, 77, 140]


def logits(folder: Path, ids: list[int]) -> Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        found: Tensor = model(torch.tensor([ids])).logits[0]
    return found


@pytest.mark.parametrize("write", [tinylm.write_gpt2, tinylm.write_llama])
def test_sharded_safetensors(write: Callable[[Path], Any], tmp_path: Path) -> None:
    model = write(tmp_path)
    wanted = logits(tmp_path, IDS)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert torch.allclose(tinylm.load(tmp_path).feed(IDS, every=True), wanted, atol=2e-5)
    next(tmp_path.glob("model-00001*")).unlink()
    with pytest.raises(lm.NoModel, match="lacks model-00001-of-"):
        tinylm.load(tmp_path)


def test_a_trainers_checkpoint_and_the_folder_around_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for step in (500, 1500, 1000):
        folder = out / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        tinylm.write_gpt2(folder, seed=step)
        torch.save({"state": {}}, folder / "optimizer.pt")
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (out / "checkpoint-2000").mkdir()  # begun and not written
    oldest, newest = out / "checkpoint-500", out / "checkpoint-1500"
    assert torch.allclose(tinylm.load(oldest).feed(IDS), logits(oldest, IDS)[-1], atol=2e-5)
    assert torch.allclose(tinylm.load(out).feed(IDS), logits(newest, IDS)[-1], atol=2e-5)
    # A Trainer that was given no tokenizer writes none: that of the folder around, else of the model it began from.
    spelled = tinylm.load(newest).tokenizer.encode("nel mezzo").ids
    shutil.move(newest / "tokenizer.json", out / "tokenizer.json")
    assert tinylm.load(newest).tokenizer.encode("nel mezzo").ids == spelled
    base = tmp_path / "base"
    base.mkdir()
    shutil.move(out / "tokenizer.json", base / "tokenizer.json")
    config = json.loads((newest / "config.json").read_text())
    (newest / "config.json").write_text(json.dumps({**config, "_name_or_path": str(base)}))
    assert tinylm.load(newest).tokenizer.encode("nel mezzo").ids == spelled


class NanoBlock(nn.Module):
    """A block of nanoGPT, written from its description; its parameters have nanoGPT's names."""

    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=bias), nn.LayerNorm(width, bias=bias)
        self.attn = nn.ModuleDict(
            {"c_attn": nn.Linear(width, 3 * width, bias=bias), "c_proj": nn.Linear(width, width, bias=bias)}
        )
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width, bias=bias), "c_proj": nn.Linear(4 * width, width, bias=bias)}
        )

    def forward(self, x: Tensor) -> Tensor:
        time, width = x.shape
        q, k, v = self.attn["c_attn"](self.ln_1(x)).view(time, 3, self.heads, -1).permute(1, 2, 0, 3)
        scores = q @ k.transpose(1, 2) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~torch.ones(time, time, dtype=torch.bool).tril(), -math.inf)
        x = x + self.attn["c_proj"]((scores.softmax(-1) @ v).transpose(0, 1).reshape(time, width))
        hidden = self.mlp["c_fc"](self.ln_2(x))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))  # the exact GELU
        return x + self.mlp["c_proj"](hidden)


def write_nanogpt(
    file: Path, vocabulary: int, *, bias: bool = False, prefix: str = "", ids: list[int], dataset: str = "verse"
) -> Tensor:
    """Write ``ckpt.pt`` with random weights; returns the logits of ``ids``."""
    torch.manual_seed(2)
    args = {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 64, "bias": bias, "vocab_size": vocabulary}
    wte, wpe = nn.Embedding(vocabulary, 32), nn.Embedding(64, 32)
    blocks, norm = nn.ModuleList(NanoBlock(32, 4, bias) for _ in range(2)), nn.LayerNorm(32, bias=bias)
    transformer = nn.ModuleDict({"wte": wte, "wpe": wpe, "h": blocks, "ln_f": norm})
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        x = wte(torch.tensor(ids)) + wpe.weight[: len(ids)]
        for block in blocks:
            x = block(x)
        wanted = functional.linear(norm(x), wte.weight)
    tensors = {f"{prefix}transformer.{name}": tensor for name, tensor in transformer.state_dict().items()}
    tensors[f"{prefix}lm_head.weight"] = wte.weight.detach()
    if bias:  # as older checkpoints have it
        tensors[f"{prefix}transformer.h.1.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    content = {
        "model": tensors, "optimizer": {"state": {}}, "model_args": args, "iter_num": 7,
        "best_val_loss": torch.tensor(1.5), "config": {"dataset": dataset},
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file)
    return wanted


@pytest.mark.parametrize(("bias", "prefix"), [(False, ""), (True, "_orig_mod.")])
def test_nanogpts_checkpoint_of_characters(bias: bool, prefix: str, tmp_path: Path) -> None:
    text = "hello world\n"
    characters = sorted(set(text))
    ids = [characters.index(character) for character in text]
    file = tmp_path / "out-verse" / "ckpt.pt"
    wanted = write_nanogpt(file, len(characters), bias=bias, prefix=prefix, ids=ids)
    (file.parent / "meta.pkl").write_bytes(pickle.dumps({"stoi": {}}))
    with pytest.raises(lm.NoModel, match=r"put that as input.txt beside it \(meta.pkl is not read"):
        tinylm.load(file)
    (tmp_path / "data" / "verse").mkdir(parents=True)
    (tmp_path / "data" / "verse" / "input.txt").write_text(text)  # where nanoGPT has it
    loaded = tinylm.load(file)
    assert isinstance(loaded, OwnModel)
    assert loaded.tokenizer.encode(text).ids == ids
    assert torch.allclose(loaded.feed(ids, every=True), wanted, atol=1e-4)
    (file.parent / "input.txt").write_text("too few")
    with pytest.raises(lm.NoModel, match="distinct characters"):
        tinylm.load(file)
    with pytest.raises(lm.NoModel, match=r"give the file .*ckpt\.pt"):
        tinylm.load(file.parent)


def test_nanogpts_checkpoint_of_gpt2s_tokens(tmp_path: Path) -> None:
    wanted = write_nanogpt(tmp_path / "ckpt.pt", 50304, bias=True, ids=IDS)
    loaded = tinylm.load(tmp_path / "ckpt.pt")
    assert loaded.tokenizer.encode("Hello world").ids == [15496, 995]
    assert loaded.vocabulary == 50257  # what fills it up is never drawn
    assert torch.allclose(loaded.feed(IDS, every=True), wanted[:, :50257], atol=1e-3)
    content = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    content["model"]["transformer.h.1.attn.q_norm.weight"] = torch.ones(8)
    torch.save(content, tmp_path / "ckpt.pt")
    with pytest.raises(lm.NoModel, match=r"'transformer\.h\.1\.attn\.q_norm\.weight' is missing or wrong"):
        tinylm.load(tmp_path / "ckpt.pt")  # another network, whose numbers would be others


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


def test_pickled_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Bomb(), "model_args": {}}, tmp_path / "ckpt.pt")
    with pytest.raises(lm.NoModel, match="cannot be read without running code"):
        tinylm.load(tmp_path / "ckpt.pt")
    assert not Path("exploded").exists()
    torch.save({"weights": {}}, tmp_path / "ckpt.pt")
    with pytest.raises(lm.NoModel, match="is no checkpoint of nanoGPT"):
        tinylm.load(tmp_path / "ckpt.pt")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("pytorch_model.bin", "write it with save_pretrained"),
        ("model.safetensors", "give the folder with config.json"),
        ("model.onnx", "give a folder with safetensors"),
        ("notes.txt", r"give the folder with config.json, .* or a \.gguf file"),
        ("folder/adapter_config.json", "merge_and_unload"),
        ("folder/one.gguf", r"give one, such as .*one\.gguf"),
        ("folder/model.safetensors", "copy the model's config.json"),
    ],
)
def test_what_is_refused_says_what_to_do(name: str, advice: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"?")
    with pytest.raises(lm.NoModel, match=advice):
        tinylm.load(file.parent if "/" in name else file)


def test_a_revision_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylm.hub_in(tmp_path, monkeypatch)
    for seed, revision in enumerate(("main", "old")):
        tinylm.write_gpt2(tinylm.cached(tmp_path, "someone/model", revision), seed=seed)
    newest, old = tinylm.load("someone/model"), tinylm.load("someone/model@old")
    folders = [next(tmp_path.glob(f"models--*/snapshots/{commit}")) for commit in _commits(tmp_path)]
    assert torch.allclose(newest.feed(IDS), logits(folders[0], IDS)[-1], atol=2e-5)
    assert torch.allclose(old.feed(IDS), logits(folders[1], IDS)[-1], atol=2e-5)
    assert not torch.allclose(newest.feed([1]), old.feed([1]), atol=1e-2)
    with pytest.raises(lm.NoModel, match="someone/model@none"):
        tinylm.load("someone/model@none")


def _commits(cache: Path) -> list[str]:
    refs = cache / "models--someone--model" / "refs"
    return [(refs / revision).read_text() for revision in ("main", "old")]
