"""Folders in the layout of sentence-transformers: their own pooling, layers and prompts, or a refusal by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from engine.classify.results import Store
from engine.classify.runs import create
from engine.classify.spec import ClassifySpec
from engine.classify.stored import stored
from engine.encoders import find as encoders
from engine.encoders.encode import encode, encode_now, machine_for
from engine.encoders.find import Encoder, NoEncoder, of_folder
from engine.runs.events import Notice
from engine.runs.messages import Control

TEXTS = ["My card is late", "the app was not charged", "bill", " ".join(tiny.WORDS)]
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "sqrt": "pooling_mode_mean_sqrt_len_tokens",
    "weighted": "pooling_mode_weightedmean_tokens",
    "last": "pooling_mode_lasttoken",
}


def layout(
    folder: Path,
    pooling: dict[str, Any],
    *,
    dense: tuple[str, ...] = (),
    bias: bool = True,
    normalize: bool = False,
    length: int | None = None,
    lower: bool = False,
    prompts: dict[str, str] | None = None,
    default: str | None = None,
    inner: str = "",
) -> Path:
    """A tiny BERT as sentence-transformers saves it; ``dense``: activations of its dense layers, 12 wide each."""
    from safetensors.numpy import save_file

    (folder / inner).mkdir(parents=True, exist_ok=True)
    tiny.bert(folder / inner)
    modules = [("Transformer", inner), ("Pooling", "1_Pooling")]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
    width = 16 * max(1, sum(pooling.get(flag, False) for flag in FLAGS.values()))
    if not isinstance(pooling.get("pooling_mode", ""), str):
        width = 16 * len(pooling["pooling_mode"])
    rng = np.random.default_rng(0)
    for activation in dense:
        path = f"{len(modules)}_Dense"
        (folder / path).mkdir()
        config = {"in_features": width, "out_features": 12, "bias": bias, "activation_function": activation}
        (folder / path / "config.json").write_text(json.dumps(config))
        parts = {"linear.weight": rng.normal(size=(12, width)).astype(np.float32)}
        parts |= {"linear.bias": rng.normal(size=12).astype(np.float32)} if bias else {}
        save_file(parts, folder / path / "model.safetensors")
        modules.append(("Dense", path))
        width = 12
    if normalize:
        (folder / f"{len(modules)}_Normalize").mkdir()
        modules.append(("Normalize", f"{len(modules)}_Normalize"))
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    settings = {"max_seq_length": length, "do_lower_case": lower}
    (folder / inner / "sentence_bert_config.json").write_text(json.dumps(settings))
    about = {"prompts": prompts or {}, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about))
    return folder


TANH, RELU, NONE = (f"torch.nn.modules.{name}" for name in ("activation.Tanh", "activation.ReLU", "linear.Identity"))
GELU = "torch.nn.modules.activation.GELU"
LAYOUTS: dict[str, dict[str, Any]] = {
    "cls": {"pooling": {FLAGS["cls"]: True}},
    "mean": {"pooling": {FLAGS["mean"]: True}, "normalize": True},
    "max": {"pooling": {FLAGS["max"]: True, FLAGS["mean"]: False}},
    "last": {"pooling": {FLAGS["last"]: True}},
    "weighted": {"pooling": {FLAGS["weighted"]: True}},
    "sqrt": {"pooling": {FLAGS["sqrt"]: True}},
    "several": {"pooling": {FLAGS["mean"]: True, FLAGS["cls"]: True, FLAGS["max"]: True}, "dense": (TANH,)},
    "dense": {"pooling": {FLAGS["cls"]: True}, "dense": (GELU, RELU), "normalize": True},
    "no bias": {"pooling": {}, "dense": (NONE,), "bias": False},
    "newer": {"pooling": {"pooling_mode": ["mean", "cls"], "include_prompt": True}},
    "short": {"pooling": {"pooling_mode": "mean"}, "length": 6},
    "prompts": {"pooling": {FLAGS["mean"]: True}, "prompts": {"query": "the card: ", "passage": "a bill: "}},
    "default": {"pooling": {FLAGS["mean"]: True}, "prompts": {"query": "", "x": "my app "}, "default": "x"},
    "inner": {"pooling": {FLAGS["cls"]: True}, "inner": "0_Transformer"},
    "lower": {"pooling": {FLAGS["mean"]: True}, "lower": True},
}
PROMPTS = {
    "prompts": {"query": "the card: ", "document": "a bill: ", "": ""},
    "default": {"query": "", "document": "", "": "my app "},
}


def expected(folder: Path, given: dict[str, Any], text: str) -> Any:
    """The vector of a text, worked out by itself."""
    import torch
    from safetensors.numpy import load_file
    from transformers import AutoModel

    inner = folder / given.get("inner", "")
    encoder = of_folder(folder, "x", "", str(folder))
    ids = encoder.tokenizer.encode(text, special=True).ids
    if len(ids) > (length := given.get("length") or 64):
        ids = [*ids[: length - 1], ids[-1]]
    with torch.inference_mode():
        top = AutoModel.from_pretrained(inner).eval()(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    places = np.arange(1, len(ids) + 1, dtype=np.float32)[:, None]
    known = {
        "cls": top[0],
        "max": top.max(0),
        "mean": top.mean(0),
        "sqrt": top.sum(0) / np.sqrt(len(ids)),
        "weighted": (top * places).sum(0) / places.sum(),
        "last": top[-1],
    }
    named = given["pooling"].get("pooling_mode")
    modes = [named] if isinstance(named, str) else named or [m for m, f in FLAGS.items() if given["pooling"].get(f)]
    vector = np.concatenate([known[mode] for mode in modes or ["mean"]])
    for number, activation in enumerate(given.get("dense", ()), 2):
        parts = load_file(folder / f"{number}_Dense" / "model.safetensors")
        vector = parts["linear.weight"] @ vector + parts.get("linear.bias", np.float32(0))
        vector = getattr(torch.nn, activation.rpartition(".")[2])()(torch.from_numpy(vector)).numpy()
    return vector / np.linalg.norm(vector) if given.get("normalize") else vector


@pytest.mark.parametrize("name", LAYOUTS)
def test_vectors_are_those_that_the_folder_defines(tmp_path: Path, name: str) -> None:
    folder = layout(tmp_path / "model", **LAYOUTS[name])
    events, encoder = tiny.finish(encoders.find(str(folder)))
    assert any(isinstance(event, Notice) and event.kind == "sentence" for event in events)
    for role in ("query", "document", ""):
        prompt = PROMPTS.get(name, {}).get(role, "")
        exact = np.stack([expected(folder, LAYOUTS[name], prompt + text) for text in TEXTS])
        _, made = tiny.finish(encode(TEXTS, encoder, Control(), device="cpu", poolings=("mean", "cls"), role=role))
        assert np.allclose(made.pooled("mean"), exact, atol=1e-4), role
        assert np.allclose(encode_now(TEXTS, machine_for(encoder, "cpu"), 128, "mean", role), exact, atol=1e-4)
    _, whole = tiny.finish(encode(TEXTS, encoder, Control(), device="cpu", group="every"))
    assert whole.pooled("all").shape == (len(TEXTS), 6 * 16)


def test_vectors_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    sentences = pytest.importorskip("sentence_transformers")
    for name, given in LAYOUTS.items():
        folder = layout(tmp_path / name, **given)
        encoder = of_folder(folder, name, "", str(folder))
        model = sentences.SentenceTransformer(str(folder), device="cpu")
        documents = {"prompt_name": "passage"} if name == "prompts" else {}
        for role, method in (("query", "encode_query"), ("document", "encode_document"), ("", "encode")):
            ours = encode_now(TEXTS, machine_for(encoder, "cpu"), 128, "mean", role)
            theirs = getattr(model, method)(TEXTS, **(documents if role == "document" else {}))
            assert np.allclose(ours, theirs, atol=1e-4), (name, role)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_stored_vectors_of_a_classification_are_those_that_the_folder_defines(tmp_path: Path, name: str) -> None:
    folder = layout(tmp_path / "model", **LAYOUTS[name])
    _, encoder = tiny.finish(encoders.find(str(folder)))
    run = create(ClassifySpec(encoder=str(folder), device="cpu"))
    run.write_json(Store.ABOUT, {"encoder": {"name": encoder.name, "identity": encoder.identity}})
    assert tiny.finish(stored(run, TEXTS, Control()))[1] is None
    tiny.finish(encode(TEXTS, encoder, Control(), device="cpu", poolings=("mean",)))
    prompt = PROMPTS.get(name, {}).get("", "")
    exact = np.stack([expected(folder, LAYOUTS[name], prompt + text) for text in TEXTS])
    assert np.allclose(tiny.finish(stored(run, TEXTS, Control()))[1], exact, atol=1e-4)


def test_layouts_that_differ_are_other_encoders(tmp_path: Path) -> None:
    found = [
        of_folder(layout(tmp_path / name, **given), "x", "", str(tmp_path / name)) for name, given in LAYOUTS.items()
    ]
    plain = of_folder(tiny.bert(tmp_path), "x", "", str(tmp_path))
    by_name: dict[str, Encoder] = dict(zip(LAYOUTS, found, strict=True))
    same = {name for name, one in by_name.items() if one.identity == plain.identity}
    assert same == {"short"}  # the mean of the tokens as it is: the length is no part of an encoder
    assert len({one.identity for one in found}) == len(LAYOUTS) - 1  # "inner" is "cls" elsewhere


def changed(folder: Path, file: str, change: Callable[[Any], object]) -> None:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("modules.json", lambda c: c[2].update(type="sentence_transformers.models.LSTM"), "lists LSTM"),
        ("modules.json", lambda c: c[0].update(type="custom_st.Transformer"), "lists custom_st.Transformer"),
        ("modules.json", lambda c: c.pop(1), "only a Transformer and Pooling"),
        ("1_Pooling/config.json", lambda c: c.update(pooling_mode="attention"), "its pooling attention is not known"),
        ("1_Pooling/config.json", lambda c: c.update(include_prompt=False), "include_prompt"),
        ("2_Dense/config.json", lambda c: c.update(activation_function="torch.nn.ELU"), "has the activation ELU"),
        ("2_Dense/config.json", lambda c: c.update(use_residual=True), "with a residual"),
        ("2_Dense/config.json", lambda c: c.update(module_input_name="token_embeddings"), "on other inputs"),
        ("modules.json", lambda c: c[2].update(path="../outside"), "is missing"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(
    tmp_path: Path, file: str, change: Callable[[Any], object], words: str
) -> None:
    folder = layout(tmp_path / "model", {FLAGS["mean"]: True}, dense=(TANH,), prompts={"query": "q: "})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "config.json").write_text("{}")
    changed(folder, file, change)
    with pytest.raises(NoEncoder, match=words):
        tiny.finish(encoders.find(str(folder)))


def test_pickled_weights_of_a_dense_layer_are_refused(tmp_path: Path) -> None:
    folder = layout(tmp_path / "model", {FLAGS["mean"]: True}, dense=(TANH,))
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(NoEncoder, match=r"2_Dense holds no model.safetensors. Only safetensors are loaded"):
        tiny.finish(encoders.find(str(folder)))
