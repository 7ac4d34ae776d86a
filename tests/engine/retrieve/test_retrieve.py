"""Rankers judged side by side, their run directory, the search in what was built, and the export."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spying
import tiny
from retrieving import collection, write

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.run import Run
from data import beir
from engine.comparison.verdict import p_words
from engine.encoders import find as encoders
from engine.encoders import sentence
from engine.encoders.encode import encode_now, machine_for
from engine.encoders.pretraining import about_encoder, pretraining
from engine.retrieve import contenders, rankers, search
from engine.retrieve import export as retrieve_export
from engine.retrieve import results as retrieve_results
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.bi_encoder import BiState
from engine.retrieve.results import Store
from engine.retrieve.search import NotTrained
from engine.retrieve.spec import RANKERS, RetrieveSpec, name_of, pairs
from engine.retrieve.task import retrieve
from engine.retrieve.training_data import BiSettings, CannotTrain, Split, TrainingData, TrainingInputs
from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    Encoded,
    Event,
    Loaded,
    Notice,
    Progress,
    from_dict,
    to_dict,
)
from engine.runs.listing import summarise
from engine.runs.messages import Control, Stop, finish


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def spec(tmp_path: Path, encoder: Path) -> RetrieveSpec:
    return RetrieveSpec(str(collection(tmp_path / "small")), str(encoder), epochs=3, learning_rate=3e-3, device="cpu")


def driven(spec: RetrieveSpec) -> tuple[Run, list[Event]]:
    run = retrieve_runs.create(spec)
    return run, list(retrieve_runs.drive(run, Control()))


def made(library: Any, method: str) -> Any:
    return tiny.finish(library.ranker(method, Control()))[1]


def test_every_ranker_is_judged_and_compared_with_those_before_it(spec: RetrieveSpec) -> None:
    run, events = driven(spec)
    loaded = next(event for event in events if isinstance(event, Loaded))
    assert (loaded.documents, loaded.train, loaded.judged, loaded.judged_split) == (36, 24, 8, "test")
    done = [event for event in events if isinstance(event, ContenderDone)]
    assert [event.contender for event in done] == list(RANKERS)
    assert [sorted(event.against) for event in done] == [sorted(RANKERS[:n]) for n in range(5)]
    last = events[-1]
    assert isinstance(last, Classified)
    assert last.reason == "done"
    for name, result in last.results.items():
        assert result["interval"][0] <= result["ndcg@10"] <= result["interval"][1]
        assert {"recall@100", "mrr@10", "map@100", "seconds", "queries_per_second", "index_bytes"} <= set(result)
        assert result["against"].keys() == set(RANKERS[: RANKERS.index(name)])
    assert [from_dict(to_dict(event)) for event in done] == done

    found = retrieve_results.read(run)
    assert (found.split, len(found.queries)) == ("test", 8)
    for method, one in found.judged.items():
        assert float(one.values["ndcg@10"].mean()) == pytest.approx(last.results[method]["ndcg@10"], abs=1e-6)
        assert all(len(ranked.rows) == len(set(ranked.rows)) for ranked in one.rankings)
    assert run.read_json("comparisons.json")["trained-mean"]["ndcg@10"]["mean"] == pytest.approx(
        last.results["trained"]["ndcg@10"] - last.results["mean"]["ndcg@10"], abs=1e-6
    )
    told = summarise(run)
    assert (told.task, told.state, told.step, told.steps) == ("retrieve", "finished", 5, 5)
    assert told.ndcg == max(result["ndcg@10"] for result in last.results.values())


def test_the_verdict_names_methods_as_the_tables_do_with_a_p_that_is_adjusted_for_all_pairs(spec: RetrieveSpec) -> None:
    run, events = driven(spec)
    verdict, figures = events[-1].verdict, events[-1].results  # type: ignore[attr-defined]
    compared = {pair: found["ndcg@10"] for pair, found in run.read_json("comparisons.json").items()}
    told = {(first, second): compared[f"{first}-{second}"] for first, second in pairs(RANKERS)}
    assert all(one["n"] == 8 for one in told.values())
    ordered, highest = sorted((one["p"], pair) for pair, one in told.items()), 0.0
    for rank, (p, (first, second)) in enumerate(ordered):  # Holm: no p less than those of smaller ones
        highest = max(highest, min(1.0, (len(ordered) - rank) * p))
        name = name_of(first)[0].upper() + name_of(first)[1:]
        sentence = verdict[verdict.index(f"{name} (nDCG@10 {figures[first]['ndcg@10']:.3f}, n = 8)") :]
        sentence, other = sentence[: sentence.index(". ")], f"{name_of(second)} ({figures[second]['ndcg@10']:.3f}"
        if told[first, second]["better"] + told[first, second]["worse"] == 0:
            assert f"{other})" in sentence
        else:
            assert f"{other}, {p_words(highest)})" in sentence
        assert "could be chance" in sentence or highest < 0.05
    assert "All p-values are adjusted for 5 comparisons (Holm)." in verdict
    assert verdict.endswith("is limited by 24 training items, 8 judged items and 6 steps of training.")


@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [("BertForMaskedLM", "words", "trained to predict words, not to compare texts"), ("BertModel", "", "")],
)
def test_what_the_encoder_was_trained_for_is_told(
    spec: RetrieveSpec, encoder: Path, tmp_path: Path, head: str, kind: str, words: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(encoder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [head]}))
    _, events = driven(replace(spec, encoder=str(folder), methods=("bm25", "mean", "trained")))
    last = events[-1]
    assert isinstance(last, Classified)
    assert "pretraining" not in last.results["bm25"]
    assert last.results["mean"]["pretraining"] == kind
    assert words in last.verdict
    assert last.verdict.count("The encoder (") == bool(words)
    assert last.verdict.count("What trained gains over frozen mean is what training for retrieval brings.") == bool(
        words
    )


def test_the_encoder_that_auto_finds_is_told_by_its_name(spec: RetrieveSpec) -> None:
    for methods in (("bm25",), ("bm25", "cls", "mean"), ("trained",)):
        _, events = driven(replace(spec, encoder="auto", methods=methods))
        last = events[-1]
        assert isinstance(last, Classified)
        assert last.reason == "done"
        assert ("The encoder (minilm) was trained" in last.verdict) == (methods != ("bm25",))


def test_frozen_vectors_of_several_encoders_are_compared_and_the_first_is_trained(
    spec: RetrieveSpec, encoder: Path, tmp_path: Path
) -> None:
    encoder, other = Path(shutil.copytree(encoder, tmp_path / "first")), tiny.bert(tmp_path / "other", seed=5)
    spec = replace(spec, encoder=str(encoder))
    for folder, head in ((encoder, "BertForMaskedLM"), (other, "")):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": [head]}))
    sentence.write(sentence.SentenceLayout(), other, 16)
    both = replace(spec, encoder=f"{spec.encoder}, {other}")
    run, events = driven(both)
    last = events[-1]
    assert isinstance(last, Classified)
    assert list(last.results) == ["bm25", "cls", "mean", "cls-other", "mean-other", "hybrid", "trained"]
    for name, found in (("words", encoder), ("similarity", other)):
        of = [one for one in last.results.values() if one.get("pretraining") == name]
        assert {one["encoder"] for one in of} == {str(found)}
        assert len(of) == (4 if found == encoder else 2)
        assert last.verdict.count(f"The encoder ({found}) was trained") == 1
    assert "Mean other (nDCG@10" in last.verdict
    assert "mean other (" in last.verdict  # trained is compared with it
    assert [one.encoder for one in last.encodings] == [str(encoder), str(other)]
    for alone, suffix in ((spec, ""), (replace(spec, encoder=str(other)), "-other")):
        (*_, separate) = retrieve(replace(alone, methods=("cls", "mean", "trained")), Control())
        assert isinstance(separate, Classified)
        for pooling in ("cls", "mean"):
            assert separate.results[pooling]["ndcg@10"] == last.results[f"{pooling}{suffix}"]["ndcg@10"]
        if not suffix:
            assert separate.results["trained"]["ndcg@10"] == last.results["trained"]["ndcg@10"]
    assert {"mean-other-mean", "trained-mean-other"} <= run.read_json("comparisons.json").keys()
    assert retrieve_runs.spec_of(run).encoders == (str(encoder), str(other))
    library = finish(search.library(retrieve_runs.spec_of(run), Control(), run))
    stored = retrieve_results.read(run).judged["mean-other"].rankings
    texts = [library.collection.queries[name] for name in retrieve_results.read(run).queries]
    assert [one.rows for one in made(library, "mean-other").rank(texts, 100)] == [one.rows for one in stored]


def test_names_of_several_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RetrieveSpec(encoder="minilm, a/b ,minilm,").encoders == ("minilm", "a/b")
    assert RetrieveSpec(encoder="minilm,a/b", methods=("mean", "hybrid")).ranked == ("mean", "mean-b", "hybrid")
    assert [one.field for one in RetrieveSpec(encoder="a/b,c/b").validate()] == ["encoder"]
    assert [one.field for one in RetrieveSpec(encoder=" , ").validate()] == ["encoder"]
    (tmp_path / "one,two").mkdir()
    (tmp_path / "three").mkdir()
    monkeypatch.chdir(tmp_path)
    assert RetrieveSpec(encoder=str(tmp_path / "one,two")).encoders == (str(tmp_path / "one,two"),)
    run = retrieve_runs.create(RetrieveSpec(encoder="three, minilm,no/where"))
    assert retrieve_runs.spec_of(run).encoders == (str(tmp_path / "three"), "minilm", "no/where")


def test_the_bundled_minilm_and_sentence_transformers_are_sentence_encoders(encoder: Path, tmp_path: Path) -> None:
    assert pretraining(encoders.minilm()) == "similarity"
    assert "The encoder (minilm) was trained for sentence similarity" in about_encoder(encoders.minilm())[0]
    folder = tmp_path / "other"
    shutil.copytree(encoder, folder)
    assert pretraining(encoders.of_folder(folder, "x", "", str(folder))) == ""
    sentence.write(sentence.SentenceLayout(), folder, 16)
    assert pretraining(encoders.of_folder(folder, "x", "", str(folder))) == "similarity"


def test_bm25_equals_its_formula(spec: RetrieveSpec) -> None:
    small = beir.load(spec.data)
    query = small.queries["q3"]
    (found,) = rankers.Bm25(small).rank([query], 36)
    stop = {"the", "a", "is", "was", "not"}  # those of English among the words that there are
    texts = [[word for word in re.findall(r"(?u)\b\w\w+\b", text.lower()) if word not in stop] for text in small.texts]
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for words in texts:
        score = 0.0
        for word in re.findall(r"(?u)\b\w\w+\b", query.lower()):
            holding = sum(word in other for other in texts)
            if word in stop or not holding:
                continue
            often = words.count(word)
            idf = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            score += idf * often / (often + 1.5 * (1 - 0.75 + 0.75 * len(words) / mean))
        scores.append(score)
    order = sorted((row for row in range(36) if scores[row] > 0), key=lambda row: -scores[row])
    assert found.scores == pytest.approx([scores[row] for row in order], abs=1e-5)
    assert [scores[row] for row in found.rows] == pytest.approx(sorted(scores, reverse=True)[: len(order)], abs=1e-5)


CHINESE = (
    "自行车的链条需要每个月清洗和上油。",
    "图书馆星期一关门,星期二到星期天开放。",
    "把面粉、水和酵母揉成面团,然后发酵两个小时。",
    "下雨天骑自行车时,刹车的距离会变长。",
    "这台打印机只能使用黑色的墨盒。",
    "春天的樱花树下有很多人在拍照 iPhone。",
)


def test_bm25_searches_where_a_script_has_no_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "chinese"
    folder.mkdir()
    write(folder / "corpus.jsonl", [{"_id": str(row), "text": text} for row, text in enumerate(CHINESE)])
    small = beir.load(str(folder))
    for bm25 in (rankers.Bm25(small), rankers.Bm25(small)):  # made, then from the disk
        found = [ranked.rows for ranked in bm25.rank(["自行车刹车", "图书馆什么时候开放?", "iphone", "咖啡", ""], 6)]
        assert [rows[:1] for rows in found] == [(3,), (1,), (5,), (), ()]
        assert set(found[0]) == {0, 3}  # every document about bicycles
        assert bm25.terms("自行车 iPhone") == ["iphone", "自行", "行车"]
    bags = [{text[place : place + 2] for place in range(len(text) - 1)} for text in CHINESE]
    (found_rows,) = (ranked.rows for ranked in bm25.rank(["面团发酵"], 6))
    assert set(found_rows) == {row for row, bag in enumerate(bags) if bag & {"面团", "团发", "发酵"}}
    for text, query in (("ぼくは自転車で図書館へ行きます", "図書館"), ("ห้องสมุดเปิดวันอังคาร", "ห้องสมุด")):
        write(folder / "corpus.jsonl", [{"_id": "a", "text": text}, {"_id": "b", "text": CHINESE[4]}])
        assert rankers.Bm25(beir.load(str(folder))).rank([query], 2)[0].rows == (0,)


def test_a_query_without_a_known_word_finds_nothing(spec: RetrieveSpec) -> None:
    bm25 = rankers.Bm25(beir.load(spec.data))
    for query in ("xylophone", "", "the", "x"):
        assert bm25.rank([query], 5)[0].rows == ()
    again = rankers.Bm25(beir.load(spec.data))  # from the disk
    assert again.rank(["parcel card"], 5) == bm25.rank(["parcel card"], 5)


def test_dense_rankings_equal_transformers(spec: RetrieveSpec, encoder: Path) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    library = finish(search.library(spec, Control()))
    model, words = BertModel.from_pretrained(encoder), Tokenizer.from_file(str(encoder / "tokenizer.json"))

    def vector(text: str, pooling: str) -> Any:
        with torch.inference_mode():
            top = model(input_ids=torch.tensor([words.encode(text).ids])).last_hidden_state[0]
        found = top[0] if pooling == "cls" else top.mean(0)
        return found / found.norm()

    for pooling in ("cls", "mean"):
        (found,) = made(library, pooling).rank(["card the late"], 36)
        cosines = torch.stack([vector(text, pooling) for text in library.collection.documents]) @ vector(
            "card the late", pooling
        )
        assert [float(cosines[row]) for row in found.rows] == pytest.approx(list(found.scores), abs=1e-5)
        assert list(found.scores) == sorted(found.scores, reverse=True)


def test_an_index_is_used_again_until_a_document_changes(spec: RetrieveSpec) -> None:
    first = [e for e in retrieve(replace(spec, methods=("mean",)), Control()) if isinstance(e, Encoded)]
    assert first
    assert not [e for e in retrieve(replace(spec, methods=("mean",)), Control()) if isinstance(e, Encoded)]
    with (Path(spec.data) / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "new", "text": "card"}\n')
    events = list(retrieve(replace(spec, methods=("mean",)), Control()))
    assert any(isinstance(e, Notice) and "made again" in e.text for e in events)
    library = finish(search.library(spec, Control()))
    assert len(library.collection) == 37
    assert made(library, "mean").index.count == 37


def test_features_are_stored_for_the_poolings_in_use_and_documents_encoded_once(spec: RetrieveSpec) -> None:
    from safetensors import safe_open

    def computed(methods: tuple[str, ...]) -> int:
        events = retrieve(replace(spec, methods=methods), Control())
        return sum(one.done == 36 and not one.cached for one in events if isinstance(one, Encoded))

    def there() -> set[str]:
        found: set[str] = set()
        for shard in home.cache().glob("features/*/shard-*"):
            with safe_open(shard, framework="numpy") as opened:
                found |= set(opened.keys())
        return found

    assert computed(("mean", "trained")) == 1
    assert there() == {"rows", "seconds", "truncated", "mean.2"}
    assert computed(("cls", "mean", "trained")) == 1
    assert there() == {"rows", "seconds", "truncated", "mean.2", "cls"}
    for folder in home.cache().glob("indexes/*"):
        store.remove(folder)
    assert computed(("cls", "hybrid")) == 0


def test_a_damaged_bm25_index_is_made_again(spec: RetrieveSpec) -> None:
    collection = finish(search.library(spec, Control())).collection
    rows = rankers.Bm25(collection).rank(list(collection.queries.values()), 5)
    for file in home.cache().glob("indexes/*/data*.npy"):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    assert rankers.Bm25(collection).rank(list(collection.queries.values()), 5) == rows


def test_the_trained_one_is_found_by_the_search_and_exported(spec: RetrieveSpec, tmp_path: Path) -> None:
    run, events = driven(replace(spec, methods=("mean", "trained")))
    known = search.newest_on(spec.data)
    assert known is not None
    assert known[0] == run
    library = finish(search.library(known[1], Control(), run))
    ranker = made(library, "trained")
    assert library.checkpoint is not None
    assert library.checkpoint.final
    stored = retrieve_results.read(run).judged["trained"]
    texts = [library.collection.queries[name] for name in retrieve_results.read(run).queries]
    assert [one.rows for one in ranker.rank(texts, 100)] == [one.rows for one in stored.rankings]

    method, size = retrieve_export.export(run, tmp_path / "exported")
    assert (method, size > 1000) == ("trained", True)
    assert retrieve_export.export(run, tmp_path / "exported") == (method, size)  # again, since it is the same run
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text("{}")
    with pytest.raises(store.CheckpointError, match="not empty"):
        retrieve_export.export(run, tmp_path / "theirs")
    assert [file.name for file in (tmp_path / "theirs").iterdir()] == ["config.json"]
    again: encoders.Encoder = tiny.finish(encoders.find(str(tmp_path / "exported")))[1]
    asked = [*texts[:4], library.collection.documents[0]]
    assert np.allclose(rankers.Embedder(again, "cpu")(asked), ranker.embed(asked), atol=1e-5)  # its layers included
    sentences = pytest.importorskip("sentence_transformers")
    model = sentences.SentenceTransformer(str(tmp_path / "exported"), device="cpu")
    assert np.allclose(model.encode(asked), ranker.embed(asked), atol=1e-5)
    readme = (tmp_path / "exported" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    defined: dict[str, Any] = {}
    exec(code.replace('"."', repr(str(tmp_path / "exported"))), defined)
    given = defined["queries"] + defined["documents"]
    assert np.allclose(defined["scores"], ranker.embed(given[:1]) @ ranker.embed(given[1:]).T, atol=1e-5)
    assert f"| **trained** | {events[-1].results['trained']['ndcg@10']:.4f} |" in readme  # type: ignore[attr-defined]
    assert str(Path(spec.data).parent) not in readme


def test_a_folder_of_sentence_transformers_is_searched_trained_and_exported_with_its_own_layers(
    spec: RetrieveSpec, encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sentences"
    shutil.copytree(encoder, folder)
    rng = np.random.default_rng(4)
    dense = sentence.Step(rng.normal(size=(12, 16)).astype(np.float32), rng.normal(size=12).astype(np.float32), "Tanh")
    prompts = {"query": "where is my ", "document": "the "}
    sentence.write(sentence.SentenceLayout(("cls",), (dense,), 20, prompts=prompts), folder, 16)
    run, events = driven(replace(spec, encoder=str(folder), methods=("mean", "trained")))
    told = [event.text for event in events if isinstance(event, Notice) and event.kind == "sentence"]
    assert any(
        "cls pooling, a dense layer 16x12 (Tanh), at most 20 tokens, prompt query 'where is my '" in line
        for line in told
    )
    collection = beir.load(spec.data)
    opened: encoders.Encoder = tiny.finish(encoders.find(str(folder)))[1]

    def vectors(texts: list[str], prompt: str) -> Any:
        raw = encode_now(
            [prompt + text for text in texts], machine_for(replace(opened, sentence=None), "cpu"), 20, "cls"
        )
        found = np.tanh(raw @ dense.weight.T + dense.bias)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    queries = retrieve_results.read(run).queries
    asked = vectors([collection.queries[name] for name in queries], "where is my ")
    scores = asked @ vectors(collection.documents, "the ").T
    for row, ranked in enumerate(retrieve_results.read(run).judged["mean"].rankings):
        assert np.allclose([scores[row, place] for place in ranked.rows], ranked.scores, atol=1e-5)
        assert np.all(np.diff(scores[row, list(ranked.rows)]) < 1e-5)
    retrieve_export.export(run, tmp_path / "exported")
    again: encoders.Encoder = tiny.finish(encoders.find(str(tmp_path / "exported")))[1]
    ranker = made(finish(search.library(retrieve_runs.spec_of(run), Control(), run)), "trained")
    texts = [collection.queries[name] for name in queries]
    assert np.allclose(rankers.Embedder(again, "cpu")(texts), ranker.embed(texts), atol=1e-5)
    with pytest.raises(CannotTrain, match="the whole encoder is trained with mean pooling"):
        driven(replace(spec, encoder=str(folder), methods=("trained",), mode="whole"))


def test_a_whole_encoder_is_searched_while_it_trains_and_when_it_has(spec: RetrieveSpec, tmp_path: Path) -> None:
    run = retrieve_runs.create(replace(spec, methods=("trained",), mode="whole", epochs=1))
    library = None
    for event in retrieve_runs.drive(run, Control()):
        if isinstance(event, ContenderStep) and event.held_out_score is not None and library is None:
            library = finish(search.library(retrieve_runs.spec_of(run), Control(), run))
            early = made(library, "trained")
            assert len(early.pool) == 36
            assert library.checkpoint is not None
            assert not library.checkpoint.final
            assert set(early.rank(["card late"], 5)[0].rows) <= set(range(36))
    assert library is not None
    late = made(library, "trained")
    assert library.checkpoint is not None
    assert library.checkpoint.final
    assert library.checkpoint.whole
    stored = retrieve_results.read(run).judged["trained"].rankings
    texts = [library.collection.queries[name] for name in retrieve_results.read(run).queries]
    assert [one.rows for one in late.rank(texts, 100)] == [one.rows for one in stored]
    retrieve_export.export(run, tmp_path / "exported")
    again: encoders.Encoder = tiny.finish(encoders.find(str(tmp_path / "exported")))[1]
    assert np.allclose(rankers.Embedder(again, "cpu")(texts), late.embed(texts), atol=1e-5)


def test_a_whole_encoder_trains_on_after_a_stop_and_comes_to_the_same(spec: RetrieveSpec) -> None:
    spec = replace(spec, methods=("trained",), mode="whole", epochs=3)
    _, at_once = driven(spec)
    run, control = retrieve_runs.create(spec), Control()
    for event in retrieve_runs.drive(run, control):
        if isinstance(event, ContenderStep) and event.held_out_score is not None and event.note.startswith("epoch 1"):
            control.send(Stop())
    assert [one.name for one in store.checkpoints(run.checkpoints)]
    again = list(retrieve_runs.drive(run, Control()))
    assert "training goes on after epoch 1 of 3" in [one.text for one in again if isinstance(one, Notice)]
    figures = [told[-1].results["trained"] for told in (at_once, again)]  # type: ignore[attr-defined]
    assert {key for key in figures[0] if figures[0][key] != figures[1][key]} <= {
        "seconds", "index_seconds", "queries_per_second",
    }  # fmt: skip
    assert not list(home.cache().glob("finetune/*/step-*"))


def test_a_stop_while_the_trained_ranker_is_judged_loses_none_of_the_training(
    spec: RetrieveSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(spec, methods=("trained",), mode="whole", epochs=2)
    _, at_once = driven(spec)
    run, control = retrieve_runs.create(spec), Control()
    really = Store.trained

    def trained(self: Store, state: BiState) -> None:
        really(self, state)
        control.send(Stop())

    with monkeypatch.context() as patch:
        patch.setattr(Store, "trained", trained)
        assert not list(retrieve_runs.drive(run, control))[-1].results  # type: ignore[attr-defined]
    again = list(retrieve_runs.drive(run, Control()))
    assert "training goes on after epoch 2 of 2" in [one.text for one in again if isinstance(one, Notice)]
    figures = [told[-1].results["trained"]["ndcg@10"] for told in (at_once, again)]  # type: ignore[attr-defined]
    assert figures[0] == figures[1]
    assert not list(home.cache().glob("finetune/*/step-*"))


def test_of_two_states_with_the_same_ndcg_the_surer_is_kept(
    spec: RetrieveSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(inputs: Any, *_: Any, keep: Any, **__: Any) -> Any:
        tensors = dict(inputs.encoder.open().state_dict())
        states = [
            BiState(step, 0.5, loss, tensors, tuple(range(36)), np.asarray(inputs.frozen))
            for step, loss in ((0, 3.0), (2, 1.0), (4, 2.0))
        ]
        for state in states:
            keep(state)
        yield Progress("trained", 1, 1)
        return states[1]

    monkeypatch.setattr("engine.retrieve.contenders.train", fake)
    run, events = driven(replace(spec, methods=("trained",), mode="whole"))
    assert events[-1].results["trained"]["step"] == 2  # type: ignore[attr-defined]
    assert [one.name for one in store.checkpoints(run.checkpoints)] == ["step-000004", "step-000002"]


def test_what_cannot_be_judged_or_trained_is_told_and_the_rest_is_done(spec: RetrieveSpec, tmp_path: Path) -> None:
    own = tmp_path / "notes"
    own.mkdir()
    (own / "a.txt").write_text("my parcel was late")
    (own / "b.txt").write_text("the card is not charged")
    run, events = driven(replace(spec, data=str(own)))
    told = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "nothing is trained" in told
    assert "search only" in told
    last = events[-1]
    assert isinstance(last, Classified)
    assert (last.reason, last.results, last.verdict) == ("done", {}, "")
    library = finish(search.library(replace(spec, data=str(own)), Control(), run))
    assert made(library, "bm25").rank(["parcel"], 5)[0].rows == (0,)
    assert sorted(made(library, "hybrid").rank(["parcel"], 5)[0].rows) == [0, 1]
    with pytest.raises(NotTrained, match="nothing is trained"):
        made(library, "trained")


@pytest.fixture
def debates(tmp_path: Path) -> Path:
    """Queries that are documents: the answer to each is another document, less alike than itself."""
    folder = tmp_path / "debates"
    pairs = [tiny.WORDS[7 + 2 * topic : 9 + 2 * topic] for topic in range(6)]
    sides = [(f"{side}{topic}", " ".join([*pair, side])) for topic, pair in enumerate(pairs) for side in ("my", "the")]
    folder.mkdir()
    (folder / "qrels").mkdir()
    write(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in sides])
    write(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in sides])
    answers = [f"{one}\t{other}\t1\n" for one, other in (("my{0}", "the{0}"), ("the{0}", "my{0}"))]
    (folder / "qrels" / "train.tsv").write_text("".join(line.format(topic) for topic in range(5) for line in answers))
    (folder / "qrels" / "test.tsv").write_text("".join(line.format(5) for line in answers))
    return folder


def test_a_querys_own_document_is_neither_ranked_nor_a_negative(spec: RetrieveSpec, debates: Path) -> None:
    run, events = driven(replace(spec, data=str(debates), hard_negatives=2))
    loaded = next(event for event in events if isinstance(event, Loaded))
    assert any(line.startswith("12 queries with the id of a document") for line in loaded.checks)
    known, found = beir.load(str(debates)), retrieve_results.read(run)
    for name, judged in found.judged.items():
        for query, ranked in zip(found.queries, judged.rankings, strict=True):
            assert known.rows[query] not in ranked.rows
            assert name not in ("cls", "mean", "trained") or len(ranked.rows) == len(known) - 1
    assert found.results["bm25"]["ndcg@10"] == 1.0
    settings = BiSettings(rows=4, hard_negatives=2)
    inputs = TrainingInputs(known, None, None, {}, settings)  # type: ignore[arg-type]
    every = tuple(known.qrels["train"])
    data = TrainingData(inputs, Split(every, every))
    assert inputs.hard_negatives["my0"]
    passed = []
    for queries, rows in (batch for epoch in range(9) for batch in data.batches(epoch)):
        for query, masks in zip(queries, data.false_negatives((queries, rows)), strict=True):
            passed += [mask for row, mask in zip(rows, masks, strict=True) if row == known.rows[query]]
    assert passed
    assert all(passed)
    assert not any(known.rows[query] in mined for query, mined in inputs.hard_negatives.items())


def test_train_queries_are_judged_where_there_are_no_others(spec: RetrieveSpec) -> None:
    (Path(spec.data) / "qrels" / "test.tsv").unlink()
    events = list(retrieve(replace(spec, methods=("bm25",)), Control()))
    loaded = next(event for event in events if isinstance(event, Loaded))
    assert loaded.judged_split == "train"
    assert any("the train queries are judged" in line for line in loaded.checks)


def test_stopping_keeps_what_was_judged(spec: RetrieveSpec) -> None:
    run, control = retrieve_runs.create(spec), Control()
    events = []
    for event in retrieve_runs.drive(run, control):
        events.append(event)
        if isinstance(event, ContenderDone) and event.contender == "cls":
            control.send(Stop())
    last = events[-1]
    assert isinstance(last, Classified)
    assert (last.reason, list(last.results)) == ("stopped", ["bm25", "cls"])
    assert list(retrieve_results.read(run).judged) == ["bm25", "cls"]
    assert runs.every(home.runs()) == [run]


def test_everything_wrong_with_a_spec_is_told_at_once() -> None:
    spec = RetrieveSpec(" ", methods=("bm25", "magic"), mode="half", hard_negatives=99, length=1, device="toaster")
    assert [problem.field for problem in spec.validate()] == [
        "data", "methods", "mode", "hard_negatives", "length", "device",
    ]  # fmt: skip


def test_a_text_of_stop_words_only_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", [{"_id": "a", "text": "the a"}, {"_id": "b", "text": "x"}])
    assert rankers.Bm25(beir.load(str(tmp_path))).rank(["the parcel"], 3)[0].rows == ()


def test_no_method_is_ever_given_relevance_judgements_of_the_judged_split(
    spec: RetrieveSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = {query: dict(found) for query, found in beir.load(spec.data).qrels["test"].items()}

    def labels(one: Any) -> bool:
        if not isinstance(one, Mapping):
            return False
        return "test" in one or any(one.get(query) == found for query, found in judged.items())

    watched = {contenders.Method: ("fit",), contenders.FittedRanker: ("outputs",)}
    asked = spying.watch(monkeypatch, watched, labels)
    list(retrieve(spec, Control()))
    given = ("fit", "Labelled", "Labelled", "BuiltRankers", "Control")
    assert asked == len(RANKERS) * [given, ("outputs", "Inputs", "Control")]
