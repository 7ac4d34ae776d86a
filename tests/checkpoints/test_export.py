"""Exported models in transformers: the same logits, the same tokens."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from workbench import FAST, KARPATHY, NANO, VERSE, spec

from checkpoints import export
from checkpoints.store import CheckpointError
from data.vocabulary import Vocabulary
from engine.gpt.model import GPT
from engine.gpt.spec import build
from engine.gpt.trained import Trained, bundled, load, write_export

transformers = pytest.importorskip("transformers")

ITALIAN = Vocabulary(VERSE + "ABCDEFGHILMNOPQRSTUVZabcdefghilmnopqrstuvz \n’‘“”«»—.,;:!?()àèéìíòóùúïüËÈ")
TEXTS = ["", "\n", "perché\n\n  «tal’ è»,\n", " \n \n", "—" * 9, "ì", VERSE[:500]]
SHAPES = {
    "nano": {**NANO, "width": 32, "heads": 4},
    "karpathy": {**KARPATHY, "width": 96},  # at least as wide as there are characters, or the bias does not fold
    "tied-with-bias": {**NANO, "width": 96, "head_bias": True},
    "untied": {**NANO, "tied": False, "qkv_bias": False},
    "no-bias": {**NANO, "bias": False},
    "fast": {**FAST, "width": 32},
    "fast-tied-without-a-cap": {**FAST, "width": 32, "tied": True, "soft_cap": 0.0, "rotary_base": 10000.0},
}


def trained(vocabulary: Vocabulary = ITALIAN, **fields: Any) -> Trained:
    """A model whose every parameter differs from its initial value."""
    torch.manual_seed(7)
    model = GPT(spec("verse", **fields).model(len(vocabulary))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return Trained(model, vocabulary, "run/step-000040", 40, 1.25, {"steps": 40, "corpus": "/home/me/verse.txt"})


def largest_difference(folder: Path, ours: GPT) -> float:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
    assert type(theirs).__name__ == ("NanoChatForCausalLM" if ours.config.qk_norm else "GPT2LMHeadModel")
    torch.manual_seed(3)
    ids = torch.randint(ours.config.vocabulary, (3, ours.config.context))
    with torch.no_grad():
        return float((theirs(ids).logits - ours(ids)).abs().max())


@pytest.mark.parametrize("shape", SHAPES)
def test_transformers_computes_the_same_logits(shape: str, tmp_path: Path) -> None:
    given = trained(**SHAPES[shape])
    write_export(given, tmp_path / "out")
    assert largest_difference(tmp_path / "out", given.model) < 1e-5


def test_the_bundled_model_is_the_same_in_transformers() -> None:
    made = load("bundled")
    assert largest_difference(bundled(), made.model) < 1e-4  # logits up to 15, from float16 weights
    assert 1 < float(made.val_loss or 0) < 1.5


def test_the_model_of_the_video_exports_exactly(tmp_path: Path) -> None:
    made = build({"preset": "karpathy"}, preset_for_auto="nano")
    torch.manual_seed(1)
    vocabulary = Vocabulary(ITALIAN.characters[:72])
    model = GPT(made.model(72)).eval()
    with torch.no_grad():
        assert model.head.bias is not None
        model.head.bias.normal_(std=0.5)
    write_export(Trained(model, vocabulary, "", 0, None, {}), tmp_path)
    assert largest_difference(tmp_path, model) < 1e-5


def test_the_presets_of_nanochats_shape_export_exactly(tmp_path: Path) -> None:
    given = trained(Vocabulary(ITALIAN.characters[:72]), preset="fast", context=64, width=128, layers=4, heads=4)
    assert given.model.config == build({"preset": "fast"}, preset_for_auto="nano").model(72)
    write_export(given, tmp_path)
    assert largest_difference(tmp_path, given.model) < 1e-5
    content = json.loads((tmp_path / "config.json").read_bytes())
    assert content["final_logit_softcapping"] == 15
    assert content["rope_parameters"]["rope_theta"] == 1000


@pytest.mark.parametrize(
    "changed", [{"qk_norm": False}, {"attention_scale": 0.3}, {"norm": "layer"}, {"bias": True}, {"head_bias": True}]
)
def test_a_mix_of_switches_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be exported: transformers computes"):
        write_export(trained(**{**FAST, **changed}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_tokenizer_takes_text_apart_and_puts_it_together(tmp_path: Path) -> None:
    write_export(trained(), tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == len(ITALIAN)
    for text in TEXTS:
        ids = tokenizer(text)["input_ids"]
        assert ids == ITALIAN.encode(text).ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.convert_ids_to_tokens(list(range(len(ITALIAN)))) == list(ITALIAN.characters)


@pytest.mark.parametrize("shape", [NANO, FAST])
def test_generating_with_transformers_is_greedy_sampling_here(shape: dict[str, Any], tmp_path: Path) -> None:
    from engine.gpt.sample import sample

    given = trained(**{**shape, "context": 32})
    write_export(given, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    prompt = ITALIAN.encode("ma re").ids
    mask = torch.ones(1, len(prompt), dtype=torch.long)
    answer = theirs.generate(
        torch.tensor([prompt]), attention_mask=mask, do_sample=False, max_new_tokens=20, max_length=None, pad_token_id=0
    )
    taken = sample(given.model, prompt, 20, generator=torch.Generator(), temperature=0)
    assert answer[0, len(prompt) :].tolist() == [int(token) for token in taken]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_exported_folder_is_loaded_back(shape: str, tmp_path: Path) -> None:
    given = trained(**SHAPES[shape])
    write_export(given, tmp_path)
    back = load(str(tmp_path))
    assert (back.vocabulary.characters, back.source, back.step, back.val_loss) == (
        ITALIAN.characters,
        "run/step-000040",
        40,
        1.25,
    )
    assert back.spec == {"steps": 40, "corpus": "verse.txt"}  # where it lay is nobody's business
    assert not back.model.training
    ids = torch.randint(len(ITALIAN), (2, 8))
    with torch.no_grad():
        assert torch.allclose(back.model(ids), given.model(ids), atol=1e-5)
    again = tmp_path / "again"
    write_export(back, again)
    assert (again / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    assert (again / "config.json").read_bytes() == (tmp_path / "config.json").read_bytes()


def test_half_precision_is_half_as_large_and_close(tmp_path: Path) -> None:
    given = trained(width=64)
    write_export(given, tmp_path / "full")
    write_export(given, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    ids = torch.randint(len(ITALIAN), (2, 8))
    with torch.no_grad():
        assert torch.allclose(load(str(tmp_path / "half")).model(ids), given.model(ids), atol=0.02)


def test_a_head_bias_on_more_characters_than_the_width_is_refused(tmp_path: Path) -> None:
    given = trained(**{**KARPATHY, "width": 16})
    with pytest.raises(CheckpointError, match=rf"{len(ITALIAN)} characters are more than the width of 16"):
        write_export(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert given.model.head.bias is not None
    with torch.no_grad():
        given.model.head.bias.zero_()  # nothing to express: no obstacle
    write_export(given, tmp_path / "out")
    assert largest_difference(tmp_path / "out", given.model) < 1e-5


def test_exporting_changes_nothing_in_the_model(tmp_path: Path) -> None:
    given = trained(**SHAPES["karpathy"])
    before = {name: parameter.clone() for name, parameter in given.model.named_parameters()}
    write_export(given, tmp_path)
    assert all(torch.equal(before[name], parameter) for name, parameter in given.model.named_parameters())


def test_an_export_replaces_an_older_one(tmp_path: Path) -> None:
    write_export(trained(width=64), tmp_path)
    given = dataclasses.replace(trained(width=32), step=41)
    write_export(given, tmp_path)
    assert load(str(tmp_path)).step == 41
    assert largest_difference(tmp_path, given.model) < 1e-5
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"n_layer": 2}'])
def test_a_folder_that_is_no_export_is_refused(name: str, content: bytes | None, tmp_path: Path) -> None:
    write_export(trained(), tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="is not an exported character GPT"):
        export.read(tmp_path)


def test_a_model_with_other_tokens_than_characters_is_refused(tmp_path: Path) -> None:
    write_export(trained(), tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["the"] = vocabulary.pop("a")
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="not single characters"):
        load(str(tmp_path))


def test_the_config_is_complete(tmp_path: Path) -> None:
    write_export(trained(**SHAPES["karpathy"]), tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.n_positions, config.vocab_size) == ("gpt2", 8, len(ITALIAN))
    assert json.loads((tmp_path / "training.json").read_text())["step"] == 40
