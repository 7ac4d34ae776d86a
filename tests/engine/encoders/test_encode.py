"""Features against transformers' own forward pass, whatever the batching; the cache; stopping; memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tiny
import torch

from checkpoints import arrays, home
from engine.device import place
from engine.encoders import encode as encoding
from engine.encoders import features
from engine.encoders import find as encoders
from engine.encoders.encode import EncodeFailed, encode, encode_now, machine_for
from engine.encoders.find import Encoder, NoEncoder
from engine.encoders.linear import OneDnnLinear, use_onednn
from engine.runs.events import Continued, Encoded, Notice, Paused
from engine.runs.messages import Continue, Control, Pause, Stop, Stopped

TEXTS = [*tiny.texts(60)[0], "", "finish of", "card " * 200]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {"bert": tiny.bert(root / "bert"), "gpt2": tiny.gpt2(root / "gpt2")}


@pytest.fixture
def bert(folders: dict[str, Path]) -> Encoder:
    return found(folders["bert"])


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.device.physical_cores", lambda: 1)
    monkeypatch.setattr(features, "ROWS", 16)
    monkeypatch.setattr(encoding, "ROWS", 16)


def found(folder: Path) -> Encoder:
    encoder: Encoder = tiny.finish(encoders.find(str(folder)))[1]
    return encoder


def run(encoder: Encoder, texts: list[str] = TEXTS, *, cached: bool = True, budget: int = 1024, **options: Any) -> Any:
    with contextlib.nullcontext() if cached else tiny.uncached(), batches_of(budget):
        return tiny.finish(encode(texts, encoder, Control(), **{"group": "every", "length": 32, **options}))[1]


def batches_of(tokens: int) -> Any:
    return mock.patch.dict(encoding.BUDGETS, cpu=tokens)


def by_hand(folder: Path, encoder: Encoder, texts: list[str]) -> Iterator[dict[str, np.ndarray]]:
    """Every pooling of each text alone, from transformers' own model."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    for ids in encoder.ids(texts, 32):
        with torch.no_grad():
            layers = [layer[0] for layer in model(torch.tensor([ids]), output_hidden_states=True).hidden_states]
        means = [layer.mean(0) for layer in layers]
        top = layers[-1]
        parts = {
            "cls": [top[0]],
            "last": [top[-1]],
            "max": [top.amax(0)],
            "mean": means[-1:],
            "last4": means[1:],
            "all": [top[0], top[-1], top.amax(0), *means],
        }
        yield {name: torch.cat(part).numpy() for name, part in parts.items()}


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_features_equal_transformers_whatever_the_batching(
    folders: dict[str, Path], kind: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "physical_cores", lambda: cores)
    encoder, threads = found(folders[kind]), place("cpu").threads
    wanted = list(by_hand(folders[kind], encoder, TEXTS))
    for budget in (1, 70, 100_000):
        made = run(encoder, budget=budget, cached=False)
        for pooling in features.POOLINGS:
            exact = np.stack([row[pooling] for row in wanted])
            assert np.abs(made.pooled(pooling) - exact).max() < 1e-5, (budget, pooling)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_linear_layers_by_onednn_equal_those_of_torch(folders: dict[str, Path], kind: str) -> None:
    encoder = found(folders[kind])
    plain, model = encoder.open(), encoder.open()
    use_onednn(model)
    assert sum(isinstance(part, OneDnnLinear) for part in model.modules()) >= 8
    ids = torch.tensor(encoder.ids(TEXTS[-1:] * 3, 32))
    with torch.inference_mode():
        exact = plain(input_ids=ids, output_hidden_states=True).hidden_states
        for ours, theirs in zip(model(input_ids=ids, output_hidden_states=True).hidden_states, exact, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_by_onednn_takes_any_rows(bias: bool) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(24, 40, bias=bias)).requires_grad_(False)
    rows = torch.randn(5, 24, 7).transpose(1, 2)  # not contiguous
    weight, offset = model[0].weight.double(), model[0].bias.double() if bias else 0
    use_onednn(model)
    assert isinstance(model[0], OneDnnLinear)
    for some in (rows, rows[:1], rows[0]):
        assert torch.allclose(model(some), (some.double() @ weight.T + offset).float(), atol=1e-5)


def test_ids_are_those_of_transformers_own_tokenizer(bert: Encoder, folders: dict[str, Path]) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folders["bert"] / "tokenizer.json"))
    assert bert.ids(TEXTS, 32) == [theirs(text, truncation=True, max_length=32)["input_ids"] for text in TEXTS]


def test_each_length_parses_the_tokenizer_once_and_leaves_it_uncut(
    bert: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tokenizers

    parsed = []

    class Counting:
        @staticmethod
        def from_str(content: str) -> tokenizers.Tokenizer:
            parsed.append(content)
            return original.from_str(content)

    original = tokenizers.Tokenizer
    monkeypatch.setattr(tokenizers, "Tokenizer", Counting)
    whole = bert.tokenizer.encode(TEXTS[-1], special=True).ids
    for length in (32, 8, 32, 8):
        assert bert.ids(TEXTS[-1:], length) == [[*whole[: length - 1], whole[-1]]]
    assert len(parsed) == 2
    assert bert.tokenizer.encode(TEXTS[-1], special=True).ids == whole


def test_large_batches_end_where_the_length_changes_and_small_ones_do_not(bert: Encoder) -> None:
    machine = machine_for(bert, "cpu")
    machine.budget = 80
    lengths = [10] * 3 + [9] * 20 + [3] * 2 + [2] * 2
    ids = [[1] * length for length in lengths]
    batches, start = [], 0
    while start < len(ids):
        batches.append([len(one) for one in machine._batch(ids, start)])
        start += len(batches[-1])
    assert batches == [[10] * 3, [9] * 8, [9] * 8, [9] * 4, [3, 3, 2, 2]]
    machine.budget = 5  # less than one text has: it is encoded alone
    assert machine._batch(ids, 0) == ids[:1]


def test_cached_and_fresh_features_are_equal_and_nothing_is_computed_twice(
    bert: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = run(bert)
    monkeypatch.setattr(Encoder, "open", lambda *given: pytest.fail("the model was opened"))
    events, again = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32))
    assert [event.cached for event in events if isinstance(event, Encoded)] == [len(TEXTS)]
    assert np.array_equal(fresh.pooled("all"), again.pooled("all"))
    _, upper = tiny.finish(encode(TEXTS, bert, Control(), group="top", length=32))
    assert np.array_equal(upper.pooled("mean"), fresh.pooled("mean"))


def test_other_weights_tokens_length_or_texts_are_other_features(bert: Encoder, tmp_path: Path) -> None:
    run(bert)
    shelves = {str(features.shelf(bert.identity, TEXTS, 32, "float32", "every").path)}
    other = found(tiny.bert(tmp_path / "other", seed=1))
    shelves.add(str(features.shelf(other.identity, TEXTS, 32, "float32", "every").path))
    shelves.add(str(features.shelf(bert.identity, TEXTS, 31, "float32", "every").path))
    shelves.add(str(features.shelf(bert.identity, TEXTS[::-1], 32, "float32", "every").path))
    shelves.add(str(features.shelf(bert.identity, TEXTS, 32, "bfloat16", "every").path))
    assert len(shelves) == 5


def test_the_same_encoder_elsewhere_has_the_same_identity(bert: Encoder, tmp_path: Path) -> None:
    assert found(tiny.bert(tmp_path / "moved")).identity == bert.identity


def test_a_changed_weights_file_is_noticed(tmp_path: Path) -> None:
    before = found(tiny.bert(tmp_path / "m")).identity
    assert found(tiny.bert(tmp_path / "m", seed=3)).identity != before


def test_stopping_loses_at_most_a_shard_and_a_new_start_goes_on(bert: Encoder) -> None:
    control = Control()

    def stop_after_a_shard(event: Any) -> None:
        if isinstance(event, Encoded) and event.done >= 16:
            control.send(Stop())

    with pytest.raises(Stopped), batches_of(64):
        tiny.finish(encode(TEXTS, bert, control, group="every", length=32), stop_after_a_shard)
    kept = len(list((home.cache() / "features").glob("*/shard-*")))
    assert 1 <= kept < 4
    events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32))
    assert events[0].cached == 16 * kept
    assert np.allclose(made.pooled("all"), run(bert, cached=False).pooled("all"), atol=1e-6)


def stopped_after(texts: int, encoder: Encoder) -> None:
    """An encoding in batches of 64 tokens that is asked to stop when so many texts are done."""
    control = Control()

    def stop(event: Any) -> None:
        if isinstance(event, Encoded) and event.done >= texts:
            control.send(Stop())

    with pytest.raises(Stopped), batches_of(64):
        tiny.finish(encode(TEXTS, encoder, control, group="every", length=32), stop)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """One large shard; every batch takes a second, and each is told."""
    now = [0.0]
    add = encoding._Meter.add

    def second(self: Any, *given: Any) -> Any:
        now[0] += 1
        return add(self, *given)

    for module in (features, encoding):
        monkeypatch.setattr(module, "ROWS", 1024)
    monkeypatch.setattr(encoding._Meter, "add", second)
    monkeypatch.setattr(encoding, "time", SimpleNamespace(monotonic=lambda: now[0]))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("damage", ["", "cut", "foreign", "gone"])
def test_a_stop_within_a_shard_loses_seconds_only(bert: Encoder, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    whole = run(bert, cached=False, budget=64)
    stopped_after(30, bert)
    parts = sorted((home.cache() / "features").glob("*/part-*"))
    kept = [arrays.read(part) for part in parts]
    assert [float(part["seconds"]) for part in kept] == [encoding.EVERY] * len(kept)
    assert 30 - sum(len(part["rows"]) for part in kept) < encoding.EVERY * 64 / 4
    if damage == "cut":
        parts[0].write_bytes(parts[0].read_bytes()[:-40])
    elif damage == "foreign":
        parts[0].write_bytes(arrays.encode({**kept[0], "rows": kept[0]["rows"] + len(TEXTS)}))
    elif damage:
        parts[0].unlink()
    assert len(parts) > 1
    again: list[int] = []
    pool = encoding._Machine._pool

    def counting(self: Any, batch: Any, names: Any) -> Any:
        again.append(len(batch))
        return pool(self, batch, names)

    monkeypatch.setattr(encoding._Machine, "_pool", counting)
    with batches_of(64):
        events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32))
    there = sum(len(part["rows"]) for part in (kept[1:] if damage else kept))
    assert (sum(again), events[-1].cached) == (len(TEXTS) - there, there)
    assert np.allclose(made.pooled("all"), whole.pooled("all"), atol=1e-6)
    (shard,) = (home.cache() / "features").glob("*/*")
    assert shard.name == "shard-00000.safetensors"


@pytest.mark.usefixtures("clock")
def test_seconds_are_those_of_the_computation_whenever_that_was(bert: Encoder) -> None:
    fresh = run(bert, budget=64)
    assert fresh.cost.seconds is not None
    assert fresh.cost.seconds > 2 * encoding.EVERY
    assert run(bert).cost.seconds == fresh.cost.seconds
    for file in (home.cache() / "features").glob("*/shard-*"):
        held = arrays.read(file)
        file.unlink()
        assert float(held["seconds"]) == fresh.cost.seconds
        stopped_after(30, bert)
        resumed = run(bert, budget=64)
        assert resumed.cost.seconds == pytest.approx(fresh.cost.seconds, abs=2)  # what a stop loses is no cost


def test_truncated_texts_are_counted_whether_they_are_encoded_now_or_before(
    bert: Encoder, folders: dict[str, Path]
) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folders["bert"] / "tokenizer.json"))
    lengths = [len(theirs(text)["input_ids"]) for text in TEXTS]
    wanted = sum(length > 10 for length in lengths)
    assert 10 in lengths  # one that just fits
    assert len(TEXTS) > wanted > 5
    for _ in ("fresh", "cached"):
        cost = run(bert, length=10).cost
        assert (cost.texts, cost.truncated) == (len(TEXTS), wanted)
    for file in (home.cache() / "features").glob("*/shard-*"):
        held = arrays.read(file)
        file.write_bytes(arrays.encode({name: held[name] for name in held if name not in features.MEASURED}))
    assert run(bert, length=10).cost == features.Cost(len(TEXTS), None, None)


def test_a_pause_is_no_cost(bert: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    really, now = encoding.handle_messages, [0.0]

    def waiting(*given: Any) -> Any:
        now[0] += 1000
        return really(*given)

    monkeypatch.setattr(encoding, "handle_messages", waiting)
    monkeypatch.setattr(encoding, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert run(bert).cost.seconds == 0


def test_a_damaged_shard_is_made_again(bert: Encoder) -> None:
    whole = run(bert).pooled("all")
    shard = sorted((home.cache() / "features").glob("*/shard-*"))[1]
    shard.write_bytes(shard.read_bytes()[:100])
    assert np.allclose(run(bert).pooled("all"), whole, atol=1e-6)


@pytest.mark.parametrize("poolings", [(), ("mean",)])
def test_half_of_each_shard_zeroed_is_noticed_told_and_made_good(bert: Encoder, poolings: tuple[str, ...]) -> None:
    whole = run(bert).pooled("mean")
    shards = sorted((home.cache() / "features").glob("*/shard-*"))
    for shard in shards:
        content = shard.read_bytes()
        shard.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32, poolings=poolings))
    assert np.allclose(made.pooled("mean"), whole, atol=1e-6)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert f"{len(shards)} of {len(shards)} cached parts" in notice.text
    assert "SHA-256" in notice.text
    events, _ = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32, poolings=poolings))
    assert [event.cached for event in events] == [len(TEXTS)]


def test_a_piece_that_was_not_to_be_verified_is_when_it_is_read(bert: Encoder) -> None:
    run(bert)
    for shard in (home.cache() / "features").glob("*/shard-*"):
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1  # of the last array in the file, a mean
        shard.write_bytes(content)
    _, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32, poolings=("cls",)))
    made.pooled("cls")
    with pytest.raises(OSError, match="SHA-256"):
        made.pooled("all")


def test_only_the_poolings_that_are_asked_for_are_on_the_disk_and_others_are_added_to_them(
    bert: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import safe_open

    def there() -> set[str]:
        (shard,) = (home.cache() / "features").glob("*/shard-00000.safetensors")
        with safe_open(shard, framework="numpy") as opened:
            return set(opened.keys())

    whole = run(bert, cached=False)
    _, made = tiny.finish(encode(TEXTS, bert, Control(), length=32, poolings=("mean",)))
    assert there() == {"rows", "seconds", "truncated", f"mean.{bert.layers}"}
    assert np.allclose(made.pooled("mean"), whole.pooled("mean"), atol=1e-6)
    with pytest.raises(OSError, match="has no cls"):
        made.pooled("cls")
    _, made = tiny.finish(encode(TEXTS, bert, Control(), length=32, poolings=("cls",)))
    assert there() == {"rows", "seconds", "truncated", "cls", f"mean.{bert.layers}"}
    assert np.allclose(made.pooled("cls"), whole.pooled("cls"), atol=1e-6)
    monkeypatch.setattr(Encoder, "open", lambda *given: pytest.fail("the model was opened"))
    for pooling in ("cls", "mean"):
        _, made = tiny.finish(encode(TEXTS, bert, Control(), length=32, poolings=(pooling,)))
        assert np.allclose(made.pooled(pooling), whole.pooled(pooling), atol=1e-6)


def test_a_shard_for_every_layer_stays_one_when_only_the_upper_ones_are_asked_for(bert: Encoder) -> None:
    whole = run(bert).pooled("all")
    next((home.cache() / "features").glob("*/shard-*")).write_bytes(b"damaged")
    tiny.finish(encode(TEXTS, bert, Control(), group="top", length=32))
    events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32))
    assert [event.cached for event in events] == [len(TEXTS)]
    assert np.allclose(made.pooled("all"), whole, atol=1e-6)


def test_a_pause_waits_and_goes_on(bert: Encoder) -> None:
    control = Control()
    control.send(Pause())

    def go_on(event: Any) -> None:
        if isinstance(event, Paused):
            control.send(Continue())

    events, _ = tiny.finish(encode(TEXTS, bert, control, length=32), go_on)
    assert [type(event) for event in events if isinstance(event, Paused | Continued)] == [Paused, Continued]


@pytest.mark.parametrize("cores", [1, 3])
def test_out_of_memory_halves_the_batch_and_goes_on(bert: Encoder, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "physical_cores", lambda: cores)
    pool = encoding._Machine._pool

    def small_memory(self: Any, batch: Any, names: Any) -> Any:
        if len(batch) * len(batch[0]) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pool(self, batch, names)

    exact = run(bert, cached=False).pooled("all")
    monkeypatch.setattr(encoding, "_LOWERED", {})
    monkeypatch.setattr(encoding._Machine, "_pool", small_memory)
    for notices in (2, 0):  # a later encoding begins with what fitted
        with tiny.uncached():
            events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32))
        told = [event for event in events if isinstance(event, Notice)]
        assert [event.kind for event in told] == ["memory"] * notices
        assert np.allclose(made.pooled("all"), exact, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory for a single text"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory for a single text"),
        (RuntimeError("unsupported memory format option"), "failed .unsupported memory format"),
    ],
)
def test_a_text_that_does_not_fit_alone_is_told(
    bert: Encoder, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*given: Any) -> None:
        raise error

    monkeypatch.setattr(encoding, "_LOWERED", {})
    monkeypatch.setattr(encoding._Machine, "_pool", failing)
    with pytest.raises(EncodeFailed, match=message):
        run(bert, cached=False)


def test_nan_and_infinite_features_are_one_error_that_names_the_encoder(bert: Encoder, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.bert(tmp_path / "spoilt")
    weights = load_file(folder / "model.safetensors")
    words = weights["embeddings.word_embeddings.weight"]
    words[bert.ids(["card"], 8)[0][1]] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    spoilt = found(folder)
    texts = ["the card", "late", "my bill", "card card"]
    with pytest.raises(EncodeFailed, match=r"spoilt: features of 2 of 4 texts hold NaN or infinite"):
        run(spoilt, texts)
    assert not list((home.cache() / "features").glob("*/shard-*"))
    with pytest.raises(EncodeFailed, match="1 of 1 texts"):
        encode_now(["a card"], machine_for(spoilt, "cpu"), 32, "cls")
    assert np.isfinite(encode_now(["late"], machine_for(spoilt, "cpu"), 32, "cls")).all()


def test_infinite_features_that_an_earlier_version_kept_are_computed_again(bert: Encoder) -> None:
    whole = run(bert).pooled("mean")
    shard = sorted((home.cache() / "features").glob("*/shard-*"))[1]
    kept = arrays.read(shard)
    kept["mean.2"][3, 5] = np.inf
    shard.write_bytes(arrays.encode(kept))
    events, made = tiny.finish(encode(TEXTS, bert, Control(), group="every", length=32, poolings=("mean",)))
    assert ["infinite features of 1 texts" in event.text for event in events if isinstance(event, Notice)] == [True]
    assert np.allclose(made.pooled("mean"), whole, atol=1e-6)


def test_a_full_disk_is_told_once_and_the_features_are_there(bert: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    exact = run(bert, cached=False).pooled("mean")
    monkeypatch.setattr(features.store, "replace_file", full)
    events, made = tiny.finish(encode(TEXTS, bert, Control(), length=32))
    assert ["No space" in event.text for event in events if isinstance(event, Notice)] == [True]
    assert np.allclose(made.pooled("mean"), exact, atol=1e-6)


def test_a_sentence_is_encoded_at_once(bert: Encoder) -> None:
    made = encode_now(TEXTS[:9], machine_for(bert, "cpu"), 32, "all")
    assert np.allclose(made, run(bert, TEXTS[:9], cached=False).pooled("all"), atol=1e-6)


def test_a_typed_sentence_computes_one_pooling(bert: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, computed = encoding._Machine._pool, []

    def spying(self: Any, batch: Any, names: Any) -> Any:
        found = pool(self, batch, names)
        computed.append(sorted(found))
        return found

    monkeypatch.setattr(encoding._Machine, "_pool", spying)
    machine = machine_for(bert, "cpu")
    encode_now(TEXTS[:1], machine, 32, "mean")
    encode_now(TEXTS[:1], machine, 32, "cls")
    assert computed == [["mean.2"], ["cls"]]


def test_the_encoder_is_frozen_and_in_evaluation_mode(bert: Encoder) -> None:
    machine = machine_for(bert, "cpu")
    before = {name: tensor.clone() for name, tensor in machine.model.state_dict().items()}
    one = encode_now(TEXTS, machine, 32, "last4")
    assert np.array_equal(one, encode_now(TEXTS, machine, 32, "last4"))
    assert not any(module.training for module in machine.model.modules())
    assert not any(parameter.requires_grad for parameter in machine.model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in machine.model.state_dict().items())


def test_encoders_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    folder = tiny.bert(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    strange = tiny.bert(tmp_path / "strange")
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.py"}}))
    for name, words in (
        (str(folder), "Only safetensors"),
        (str(strange), "which is never run"),
        (str(tmp_path), "not a folder with config.json"),
        ("nobody/nothing", "minilm is bundled"),
        (" ", "no encoder named"),
    ):
        with pytest.raises(NoEncoder, match=words):
            found(Path(name) if name.startswith("/") else name)  # type: ignore[arg-type]


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = tiny.bert(tmp_path / "wrong")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(NoEncoder, match="the weights lack"):
        run(found(folder))


def test_the_bundled_minilm_holds_near_what_its_authors_hold_near() -> None:
    try:
        encoder = encoders.minilm()
    except NoEncoder:
        pytest.skip("the extra 'bundled' is not installed")
    near, far = ["A man is eating food.", "Someone eats a meal."], "The girl is carrying a baby."
    rows = encode_now([*near, far], machine_for(encoder, "cpu"), 64, "mean")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > 0.6 > 0.3 > rows[0] @ rows[2]
    assert (encoder.layers, encoder.width, encoder.positions, encoder.parameters) == (6, 384, 512, 22_713_216)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"[]", b"\0\0"])
def test_hashes_of_weights_are_computed_again_where_their_file_is_damaged(content: bytes, folders: Any) -> None:
    weights = folders["bert"] / "model.safetensors"
    notes = home.cache() / "hashes.json"
    notes.parent.mkdir(parents=True)
    notes.write_bytes(content)
    assert encoders.content_hash(weights) == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert str(weights.resolve()) in json.loads(notes.read_bytes())


def test_a_wrong_hash_in_that_file_is_noticed(folders: Any) -> None:
    weights = folders["bert"] / "model.safetensors"
    right = encoders.content_hash(weights)
    notes = home.cache() / "hashes.json"
    notes.write_text(notes.read_text().replace(right, "0" * 64))
    assert encoders.content_hash(weights) == right


def test_texts_without_a_token_are_counted(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, processors

    tiny.bert(tmp_path)
    made = Tokenizer(models.BPE({"<s>": 0, "α": 1, "β": 2}, []))
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.add_special_tokens(["<s>"])
    made.save(str(tmp_path / "tokenizer.json"))
    encoder = encoders.of_folder(tmp_path, "greek", "", str(tmp_path))
    events, _ = tiny.finish(encode(["αβ", "late", "", "α late", "card"], encoder, Control(), device="cpu"))
    told = [event.text for event in events if isinstance(event, Notice) and event.kind == "vocabulary"]
    assert told == ["2 of 5 texts have no token in the vocabulary of greek: their vectors are all the same"]
