"""Language models by name: the same logits as ``transformers``, a cache that changes nothing, clear refusals."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch
from torch import Tensor
from workbench import notices, python

from data.choices import Item
from engine.choose.likelihood import Reader
from engine.gpt.model import GPT
from engine.lm import find as lm
from engine.lm import model as models
from engine.lm.generate import generate
from engine.lm.model import ForeignModel, LanguageModel, OwnModel
from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Notice, Progress, Token
from engine.runs.messages import Control, Stop

transformers = pytest.importorskip("transformers")

IDS = [5, 90, 17, 260, 33, 8, 8, 121, 250, 3, 77, 140, 60, 4, 19, 201]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tinylm.write_gpt2(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    tinylm.write_llama(folder)
    return folder


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with another activation, which only transformers computes."""
    folder = tmp_path_factory.mktemp("foreign")
    tinylm.write_llama(folder, hidden_act="gelu")
    return folder


@pytest.fixture(scope="module")
def nanochat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nanochat")
    tinylm.write_nanochat(folder)
    return folder


@pytest.fixture
def copy(gpt2: Path, tmp_path: Path) -> Path:
    """A GPT-2 to damage."""
    return Path(shutil.copytree(gpt2, tmp_path / "model"))


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def theirs(folder: Path, ids: Sequence[int]) -> Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids])).logits[0]
    return logits


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "kind"), [("gpt2", OwnModel), ("nanochat", OwnModel), ("llama", OwnModel), ("foreign", ForeignModel)]
)
def test_logits_are_those_of_transformers(
    model: str, kind: type[LanguageModel], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    loaded = tinylm.load(folder)
    assert isinstance(loaded, kind)
    wanted = theirs(folder, IDS)
    assert same(loaded.feed(IDS, every=True), wanted)
    loaded.forget()
    assert same(loaded.feed(IDS), wanted[-1])
    assert loaded.context == 64
    assert loaded.vocabulary == tinylm.VOCABULARY
    assert loaded.eos == {tinylm.VOCABULARY - 1}
    assert loaded.parameters == sum(
        p.numel() for p in transformers.AutoModelForCausalLM.from_pretrained(folder).parameters()
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("onednn", [False, True])
def test_logits_are_the_same_however_matrices_lie(
    tied: bool, onednn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if onednn and not models.has_onednn():
        pytest.skip("torch was built without oneDNN")
    monkeypatch.setattr(models, "has_onednn", lambda: onednn)
    tinylm.write_gpt2(tmp_path, n_embd=256, n_layer=1, initializer_range=0.1, tie_word_embeddings=tied)
    loaded = tinylm.load(tmp_path)
    assert isinstance(loaded.network, GPT)
    block = loaded.network.blocks[0]
    by_columns = [layer.weight.stride(0) == 1 for layer in (block.qkv, block.project, block.widen, block.narrow)]
    # Columns of 1,024 numbers would lie a page apart.
    assert by_columns == ([True, True, False, True] if onednn else [True, False, True, False])
    assert (loaded.network.head.weight is loaded.network.tokens.weight) is tied
    wanted = theirs(tmp_path, IDS)
    assert same(loaded.feed(IDS, every=True), wanted)
    loaded.forget()
    for token, each in zip(IDS, wanted, strict=True):
        assert same(loaded.feed([token]), each)


@pytest.mark.parametrize("model", ["gpt2", "nanochat", "llama", "foreign"])
@pytest.mark.parametrize("pieces", [[1] * 16, [5, 1, 1, 6, 3], [16], [15, 1]])
def test_pieces_give_the_logits_of_the_whole(model: str, pieces: list[int], request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    loaded, wanted, at = tinylm.load(folder), theirs(folder, IDS), 0
    for length in pieces:
        assert same(loaded.feed(IDS[at : at + length], every=True), wanted[at : at + length])
        at += length
    assert loaded.held == IDS


@pytest.mark.parametrize("model", ["gpt2", "nanochat", "llama", "foreign"])
def test_a_changed_end_keeps_the_beginning(model: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    loaded = tinylm.load(folder)
    loaded.feed(IDS)
    for changed, kept in (([*IDS[:9], 1, 2], 9), (IDS[:6], 5), ([*IDS[:5], 44, 45], 5), ([7, 7, 7], 0)):
        assert loaded.reuse(changed) == kept
        assert loaded.held == changed[:kept]
        assert same(loaded.feed(changed[kept:]), theirs(folder, changed)[-1])


def test_a_model_that_cannot_go_back_begins_anew(tmp_path: Path) -> None:
    tinylm.write_llama(tmp_path, sliding_window=6)
    loaded = tinylm.load(tmp_path)
    assert same(loaded.feed(IDS), theirs(tmp_path, IDS)[-1])
    changed = [*IDS[:9], 1, 2]
    assert loaded.reuse(changed) == 0
    assert same(loaded.feed(changed), theirs(tmp_path, changed)[-1])


def test_a_failed_step_leaves_nothing_half_held(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tinylm.load(llama)
    loaded.feed(IDS[:8])
    with pytest.raises(IndexError):
        loaded.feed([1], there=torch.tensor([10**6]))
    assert loaded.held == []
    assert same(loaded.feed(IDS), theirs(llama, IDS)[-1])


def test_more_than_the_context_is_refused(gpt2: Path) -> None:
    loaded = tinylm.load(gpt2)
    loaded.feed([1] * 60)
    with pytest.raises(ValueError, match="65 tokens are more than the context of 64"):
        loaded.feed([1] * 5)
    assert len(loaded.held) == 60


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "relu"},
        {"tie_word_embeddings": False},
        {"activation_function": "gelu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"n_inner": 40},
        {"layer_norm_epsilon": 1e-3},
    ],
    ids=str,
)
def test_gpt2_with_other_switches(changes: dict[str, Any], tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path, **changes)
    loaded = tinylm.load(tmp_path)
    assert isinstance(loaded, OwnModel) == bool({"relu", "gelu", False} & set(changes.values()))
    assert same(loaded.feed(IDS, every=True), theirs(tmp_path, IDS))


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({"final_logit_softcapping": None}, True),
        ({"tie_word_embeddings": True}, True),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, True),
        ({"num_key_value_heads": 2}, False),
        ({"intermediate_size": 40}, False),
        ({"hidden_act": "silu"}, False),
        ({"rms_norm_eps": 1e-2}, False),
        ({"attention_bias": True}, False),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}}, False),
    ],
    ids=str,
)
def test_nanochat_with_other_switches(changes: dict[str, Any], ours: bool, tmp_path: Path) -> None:
    tinylm.write_nanochat(tmp_path, **changes)
    loaded = tinylm.load(tmp_path)
    assert isinstance(loaded, OwnModel) is ours
    assert same(loaded.feed(IDS, every=True), theirs(tmp_path, IDS))


def test_weights_in_float16_are_computed_in_float32(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path).half().save_pretrained(tmp_path)
    loaded = tinylm.load(tmp_path)
    assert loaded.precision == "float32"
    assert same(loaded.feed(IDS, every=True), theirs(tmp_path, IDS))


@pytest.mark.parametrize("make", [tinylm.write_gpt2, tinylm.write_llama])
def test_weights_in_several_files(make: Callable[[Path], Any], tmp_path: Path) -> None:
    model = make(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert same(tinylm.load(tmp_path).feed(IDS, every=True), theirs(tmp_path, IDS))
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(lm.NoModel, match=r"lacks model-0000\d-of"):
        tinylm.load(tmp_path)


def test_the_original_names_without_a_prefix(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {name.removeprefix("transformer."): t for name, t in load_file(copy / "model.safetensors").items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)  # the original holds its masks
    wanted = theirs(copy, IDS)
    save_file(tensors, copy / "model.safetensors")
    assert same(tinylm.load(copy).feed(IDS, every=True), wanted)


def test_the_bundled_model_and_an_exported_run_are_the_same() -> None:
    from engine.gpt.trained import bundled

    one, other = tinylm.load("bundled"), tinylm.load(bundled())
    ids = list(range(0, 70, 5))
    assert same(one.feed(ids, every=True), other.feed(ids, every=True))
    assert same(one.feed(ids[:3], every=True), theirs(bundled(), [*ids, *ids[:3]])[-3:])
    assert one.fingerprint() == other.fingerprint()
    assert (one.tokenizer.kind, one.eos, one.tokenizer.decode([one.start or 0])) == ("characters", frozenset(), "\n")
    assert "bundled" in one.source
    assert str(bundled()) in other.source


def test_fingerprints_tell_weights_apart(gpt2: Path, tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path, seed=4)
    assert tinylm.load(gpt2).fingerprint() == tinylm.load(gpt2).fingerprint() != tinylm.load(tmp_path).fingerprint()


def test_a_run_by_name_and_as_the_latest(verse: Path, known_peak: float) -> None:
    from workbench import new_run, spec, train

    made = spec(verse, steps=10, name="canto", tied=False, qkv_bias=False, head_bias=True)
    run = new_run(made)
    train(made, run=run)
    for name in ("canto", "latest", run.path):
        loaded = tinylm.load(name)
        assert run.name in loaded.source
        assert loaded.tokenizer.decode(loaded.tokenizer.encode("ma re").ids) == "ma re"
        assert len(loaded.feed([0, 1])) == loaded.vocabulary


def test_loading_tells_how_far_it_is_and_can_be_stopped(gpt2: Path) -> None:
    control = Control()
    task = lm.load(str(gpt2), control)
    assert isinstance(next(task), Progress)
    for event in task:
        assert isinstance(event, Progress)
    control.send(Stop())
    with pytest.raises(lm.LoadingStopped):
        tinylm.drive(lm.load(str(gpt2), control))


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names].clear()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def encoder(folder: Path) -> None:
    change(folder / "config.json", architectures=["BertForMaskedLM"], model_type="bert")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("tokenizer.json", "generation_config.json"), "without a tokenizer that can be used"),
        (remove("model.safetensors"), "holds no model.safetensors"),
        (remove("config.json"), "holds no config.json"),
        (pickled, "Only safetensors are loaded"),
        (cut, "cannot be read"),
        (encoder, "is a BertForMaskedLM, no causal language model"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "no JSON object"),
        (lambda folder: change(folder / "config.json", auto_map={"AutoModel": "x.Y"}), "needs code of its own"),
        (lambda folder: change(folder / "config.json", n_embd=48), "do not fit config.json"),
        (lambda folder: change(folder / "config.json", n_layer=5), "do not fit config.json"),
        (lambda folder: change(folder / "config.json", architectures=None, model_type="x"), "names no architecture"),
        (
            lambda folder: change(folder / "config.json", architectures=["XForCausalLM"], model_type="x"),
            "transformers cannot load",
        ),
    ],
)
def test_a_folder_that_is_no_language_model(damage: Callable[[Path], Any], message: str, copy: Path) -> None:
    damage(copy)
    with pytest.raises(lm.NoModel, match=message) as refused:
        tinylm.load(copy)
    assert str(copy) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt2", "HF_HUB_OFFLINE is set.*bundled"),
        ("openai-community/gpt2", "HF_HUB_OFFLINE is set.*bundled"),
        ("nobody/nothing", "no folder or run has that name"),
        ("../..//x y", "no folder or run has that name"),
        ("\0", "no folder or run has that name"),
        ("x" * 5000, "no folder or run has that name"),
        ("/nowhere/model", "there is no such file or folder"),
        ("smollm.gguf", "there is no such file or folder"),
        ("latest", "there are no runs"),
        ("  ", "no model named"),
    ],
)
def test_a_name_that_nothing_answers_to(name: str, message: str) -> None:
    with pytest.raises(lm.NoModel, match=message) as refused:
        tinylm.load(name)
    assert len(str(refused.value)) < 400


def test_a_file_is_no_folder(gpt2: Path) -> None:
    with pytest.raises(lm.NoModel, match="holds weights alone: give the folder"):
        tinylm.load(gpt2 / "model.safetensors")


def test_a_model_in_the_cache_of_hugging_face(gpt2: Path, tmp_path: Path) -> None:
    revision = "0" * 40
    place = tmp_path / "hub" / "models--openai-community--gpt2"
    shutil.copytree(gpt2, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    found = python(
        "import sys; sys.path.insert(0, 'tests'); import tinylm; print(tinylm.load('gpt2').source)\n"
        "assert 'transformers' not in sys.modules",
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
    )
    assert found.stdout.startswith("Hugging Face cache (openai-community/gpt2)"), found.stderr


def test_the_screen_can_import_it_without_torch() -> None:
    imports = "engine.lm.find, engine.lm.sweep, tui.command.generate, tui.generate.pane"
    code = f"import sys, {imports}; print('torch' in sys.modules)"
    assert python(code).stdout == "False\n"


def test_a_model_that_cannot_fit_is_refused(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (gpt2 / "model.safetensors").stat().st_size
    needed = weights + 2 * 3 * 64 * 32 * 4  # keys and values of a whole context: 3 layers, 64 tokens, 32 wide, float32
    monkeypatch.setattr("engine.device.available_memory", lambda: needed)
    tinylm.load(gpt2)
    monkeypatch.setattr("engine.device.available_memory", lambda: needed - 1)
    with pytest.raises(lm.NoModel, match=r"does not fit into memory: it needs 0\.00 GiB and 0\.00 GiB"):
        tinylm.load(gpt2)


@pytest.mark.parametrize("where", ["to", "new_cache"])
def test_a_model_that_the_device_has_no_memory_for_is_refused_with_the_figures(
    where: str, gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(GPT, where, full)
    monkeypatch.setattr("engine.device.available_memory", lambda: 3 * 2**30)
    with pytest.raises(lm.NoModel, match=r"it needs 0\.00 GiB and 3\.00 GiB are free\. Name a smaller model\."):
        tinylm.load(gpt2)


@pytest.mark.parametrize("folder", ["gpt2", "llama"])
@pytest.mark.parametrize("scored", [False, True])
def test_memory_that_runs_out_in_the_middle_ends_a_completion_with_the_figures(
    folder: str, scored: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tinylm.load(request.getfixturevalue(folder))
    spec = GenerateSpec(prompt="la selva", score_prompt=scored, sampling=Sampling(greedy=True, max_new_tokens=8))
    wanted = [one.id for one in generate(model, spec, Control()) if isinstance(one, Token)]
    model.forget()
    calls, logits = 0, model._logits

    def full(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return logits(*given)

    monkeypatch.setattr(model, "_logits", full)
    monkeypatch.setattr("engine.lm.model.free_memory", lambda device: 2**28)
    events = list(generate(model, spec, Control()))
    (notice,) = notices("memory", events)
    assert notice.level == "error"
    assert f"{model.name} ran out of memory on cpu at " in notice.text
    assert "the weights take 0.00 GiB, keys and values 0.00 GiB, 0.25 GiB are free. Shorten the text" in notice.text
    assert events[-1].reason == "failed"
    assert not model.held
    got = [one.id for one in events if isinstance(one, Token)]
    assert got == wanted[: len(got)]
    assert 3 <= len(got) < len(wanted)
    again = [one.id for one in generate(model, spec, Control()) if isinstance(one, Token)]
    assert again == wanted  # the model is as good as new


def test_memory_that_runs_out_ends_a_scoring_with_a_notice(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tinylm.load(gpt2)

    def full(*_: Any) -> Any:
        raise RuntimeError("MPS backend out of memory")

    monkeypatch.setattr(model, "_logits", full)
    events = tinylm.complete(model, [1, 2, 3], score_prompt=True, max_new_tokens=1)
    assert [one.kind for one in events if isinstance(one, Notice)] == ["memory"]
    monkeypatch.setattr(model, "_tree_logits", full)
    with pytest.raises(lm.NoModel, match="ran out of memory"):
        Reader(model).score(Item("la selva", ("oscura", "alta"), 0))
