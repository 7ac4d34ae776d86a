"""Small random models with the files of well-known repositories of the Hub, name by name and tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny
import tinylm

GPT2 = "openai-community/gpt2"
DISTILBERT = "distilbert/distilbert-base-uncased"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
README = b"---\nlicense: mit\n---\n"


def gpt2(folder: Path) -> Any:
    """GPT-2: tensors without the name of the model before theirs, and the masks of old beside them."""
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    model = tinylm.write_gpt2(folder)
    tensors = {
        name.removeprefix("transformer."): part for name, part in load_file(folder / "model.safetensors").items()
    }
    for layer in range(model.config.n_layer):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(64, 64).tril().view(1, 1, 64, 64)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    tokenizer = json.loads((folder / "tokenizer.json").read_bytes())["model"]
    (folder / "vocab.json").write_text(json.dumps(tokenizer["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(merge) for merge in tokenizer["merges"]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 64}))
    for name, content in (("README.md", README), ("pytorch_model.bin", b"\x80"), (".gitattributes", b"")):
        (folder / name).write_bytes(content)
    return model


def distilbert(folder: Path) -> Any:
    """DistilBERT as it was trained: with its head for masked words."""
    import torch
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    folder.mkdir(parents=True)
    tiny.distilbert(folder)  # for its tokenizer
    torch.manual_seed(0)
    config = DistilBertConfig.from_pretrained(folder)
    model = DistilBertForMaskedLM(config).eval()
    model.save_pretrained(folder)
    (folder / "README.md").write_bytes(README)
    return model


def minilm(folder: Path) -> Any:
    """A sentence encoder: its modules, its pooling (by the first token, so that ignoring it shows) and prompts."""
    from transformers import BertModel

    folder.mkdir(parents=True)
    tiny.bert(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir()
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": 16, "pooling_mode_cls_token": True},
        "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
        "config_sentence_transformers.json": {"__version__": {"sentence_transformers": "2.0.0"}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return BertModel.from_pretrained(folder).eval()
