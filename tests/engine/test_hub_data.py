"""Data sets of the Hub against a stand-in of it that fails as networks do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from hub_layouts import LABELS, LAYOUTS, ag_news, commonsense_qa, emotion, labelled, parquet, scifact, swag
from hub_server import StandIn, dropping, point_at

from checkpoints import home
from data import beir, choices, sources, tables
from data.formats import TableError
from data.hub import Fetched, configurations
from engine import hub_data
from engine.retrieve.spec import RetrieveSpec
from engine.retrieve.task import retrieve
from engine.runs.events import Classified, Event, Loaded, Progress
from engine.runs.messages import Control, Stopped, finish


def got(name: str, events: list[Event] | None = None) -> Fetched:
    """The files of a data set."""
    found = finish(hub_data.fetch(name, "bundled", lambda: iter(())), (events if events is not None else []).append)
    assert found is not None
    return found


def within(seconds: float, work: Callable[[], object]) -> list[BaseException | None]:
    """Do work in a thread that has to end in time; what it raised."""
    raised: list[BaseException | None] = []

    def attempt() -> None:
        try:
            work()
            raised.append(None)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it still waits"
    return raised


# -- what people have ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_data_set_is_downloaded_once_and_has_the_rows_of_the_hubs_library(name: str, stand_in: StandIn) -> None:
    LAYOUTS[name](stand_in)
    events: list[Event] = []
    first = got(name, events)
    assert first.source == "the Hub"
    progress = [event for event in events if isinstance(event, Progress) and event.what == f"downloading {name}"]
    size = sum(size for file, size in stand_in.sent.items() if "/large/" in file or file.endswith(".tsv"))
    assert {event.total for event in progress} == {size}
    assert progress[-1].done == size
    stand_in.asked.clear()
    stand_in.fail("", silent=True)
    again = got(name)
    assert again.splits == first.splits
    assert not stand_in.asked
    assert again.source == "Hugging Face cache"

    stand_in.heal()
    repository, _, configuration = name.partition(":")
    theirs = datasets.load_dataset(repository, configuration or None)
    assert set(theirs) == set(first.splits)
    for split, table in theirs.items():
        files = first.splits[split]
        rows = list(sources.hub_rows(files, split, sources.Reading()))
        expected = table.to_list()
        if files[0].suffix == ".tsv":  # numbers are texts until they are read as judgements
            expected = [{column: str(cell) for column, cell in row.items()} for row in expected]
        assert [dict(row) for row in rows] == expected
        assert rows[-1].place == f"row {len(table):,} of {split}"
        names = {column: kind.names for column, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)}
        raw = sources.of_hub(Fetched({"train": files}, ""))
        assert {**raw.names, **first.names} == names


def test_every_task_finds_its_data(stand_in: StandIn) -> None:
    for publish in (emotion, commonsense_qa, swag, scifact):
        publish(stand_in)
    read = tables.load("dair-ai/emotion", fetched=got("dair-ai/emotion"))
    assert read.classes == tuple(LABELS["emotion"])
    assert read.source == "the Hub (dair-ai/emotion)"
    assert len(read.test) == 12
    assert read.test.places[3] == ("test", 4)
    asked = choices.load("tau/commonsense_qa", fetched=got("tau/commonsense_qa"))
    assert asked.judged_split == "validation"
    assert [item.gold for item in asked.judged[:6]] == [0, 1, 2, 3, 4, 0]
    chosen = choices.load("allenai/swag:regular", fetched=got("allenai/swag:regular"))
    assert {len(item.choices) for item in chosen.train} == {4}
    fetched = finish(hub_data.fetch_collection("BeIR/scifact", "workshop", lambda: iter(())))
    collection = beir.load("BeIR/scifact", fetched=fetched)
    assert (len(collection), collection.judged, collection.source) == (12, "test", "the Hub (BeIR/scifact)")
    assert {split: len(part) for split, part in collection.qrels.items()} == {"train": 4, "test": 4}

    stand_in.fail("", silent=True)
    *events, last = retrieve(RetrieveSpec(data="BeIR/scifact", methods=("bm25",)), Control())
    (loaded,) = (event for event in events if isinstance(event, Loaded))
    assert loaded.fingerprint == collection.fingerprint
    assert isinstance(last, Classified)
    assert last.results["bm25"]["ndcg@10"] == 1


def test_what_the_datasets_library_cached_is_read_without_a_request(stand_in: StandIn) -> None:
    emotion(stand_in)
    theirs = datasets.load_dataset("dair-ai/emotion")
    stand_in.asked.clear()
    found = got("dair-ai/emotion")
    assert not stand_in.asked
    assert found.source == "cache of the datasets library"
    read = sources.of_hub(found)
    assert {split: [dict(row) for row in rows] for split, rows in read.splits.items()} == {
        split: table.to_list() for split, table in theirs.items()
    }
    assert read.names == {"label": LABELS["emotion"]}


def test_a_collection_that_the_datasets_library_cached_is_searched_without_a_request(stand_in: StandIn) -> None:
    scifact(stand_in)
    for configuration in ("corpus", "queries"):
        datasets.load_dataset("BeIR/scifact", configuration)
    datasets.load_dataset("BeIR/scifact-qrels")
    stand_in.asked.clear()
    fetched = finish(hub_data.fetch_collection("BeIR/scifact", "workshop", lambda: iter(())))
    found = beir.load("BeIR/scifact", fetched=fetched)
    assert not stand_in.asked
    assert found.source == "cache of the datasets library (BeIR/scifact)"
    assert (found.qrels["test"]["0"], found.qrels["train"]["7"], len(found)) == ({"0": 1}, {"7": 1}, 12)


def test_half_of_a_data_set_is_not_taken_for_all_of_it_without_a_network(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    emotion(stand_in)
    stand_in.fail("/large/", times=1)
    stand_in.fail("/large/", status=500)
    with pytest.raises(TableError, match="500"):
        got("dair-ai/emotion")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TableError, match=r"it is not cached, and Hub lookups are off"):
        got("dair-ai/emotion")


def test_a_collection_may_hold_its_own_judgements(stand_in: StandIn) -> None:
    files = {
        "corpus.jsonl": b'{"_id": "d1", "text": "a card"}\n{"_id": "d2", "text": "a bill"}\n',
        "queries.jsonl": b'{"_id": "q1", "text": "which card"}\n',
        "qrels/test.jsonl": b'{"query-id": "q1", "corpus-id": "d1", "score": 1}\n',
    }
    stand_in.publish("datasets/mteb/small", files)
    fetched = finish(hub_data.fetch_collection("mteb/small", "workshop", lambda: iter(())))
    assert beir.load("mteb/small", fetched=fetched).qrels == {"test": {"q1": {"d1": 1}}}
    assert not any("small-qrels" in asked for asked in stand_in.asked)


# -- configurations and revisions ------------------------------------------------------------------------------------


def test_several_configurations_are_listed_and_one_is_chosen(stand_in: StandIn) -> None:
    swag(stand_in)
    with pytest.raises(TableError, match=r"several configurations.*regular, full.*allenai/swag:regular"):
        got("allenai/swag")
    with pytest.raises(TableError, match=r"no configuration small.*regular, full"):
        got("allenai/swag:small")
    assert not stand_in.files() or all("README" in asked for asked in stand_in.files())
    assert [path.parent.name for path in got("allenai/swag:full").splits["train"]] == ["full"]


def test_a_revision_is_named_after_an_at_sign(stand_in: StandIn) -> None:
    stand_in.publish("datasets/me/data", {"train.csv": b"text,label\nnew,a\n"})
    stand_in.publish("datasets/me/data", {"train.csv": b"text,label\nold,a\n"}, revision="v1")
    assert "old" in got("me/data@v1").splits["train"][0].read_text()
    assert "new" in got("me/data").splits["train"][0].read_text()
    with pytest.raises(TableError, match=r"no revision v2"):
        got("me/data@v2")


def test_a_script_is_not_run_and_the_hubs_parquet_is_read(stand_in: StandIn) -> None:
    rows, kinds = labelled(8, ["no", "yes"])
    stand_in.publish("datasets/me/scripted", {"scripted.py": b"raise SystemExit", "README.md": b"# Hello"})
    with pytest.raises(TableError, match=r"no table that can be read: a script makes it"):
        got("me/scripted")
    made = {f"default/{split}/0000.parquet": parquet(rows, kinds) for split in ("train", "test")}
    stand_in.publish("datasets/me/scripted", made, revision="refs/convert/parquet")
    assert tables.load("me/scripted", fetched=got("me/scripted")).classes == ("no", "yes")
    stand_in.asked.clear()
    got("me/scripted")
    assert not stand_in.asked


def test_patterns_and_names_tell_the_splits() -> None:
    files = [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "dev.csv",
        ".x/train.csv",
        "a.bin",
    ]
    assert configurations(files, {}) == {"default": {"train": files[:2], "validation": ["dev.csv"]}}
    declared = {"configs": [{"config_name": "a", "data_files": [{"split": "train", "path": ["**/part-?.csv"]}]}]}
    files = ["x/y/part-1.csv", "part-2.csv", "x/part-10.csv"]
    assert configurations(files, declared) == {"a": {"train": ["part-2.csv", "x/y/part-1.csv"]}}
    declared = {"configs": [{"config_name": "a", "data_dir": "x"}, {"config_name": "b", "data_files": "y/*.csv"}]}
    files = ["x/test.csv", "x/train.csv", "y/one.csv"]
    assert configurations(files, declared) == {
        "a": {"test": ["x/test.csv"], "train": ["x/train.csv"]},
        "b": {"train": ["y/one.csv"]},
    }
    assert configurations(["/etc/train.csv", "../train.csv", "x/../../train.csv", ".git/train.csv"], {}) == {}
    assert configurations(["english/train.csv", "german/train.csv"], {}).keys() == {"english", "german"}


def test_a_hostile_repository_names_no_other_file_and_costs_no_time(stand_in: StandIn, tmp_path: Path) -> None:
    bomb = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
    entries = "configs:\n- config_name: *a39\n  data_files: *a39\n- config_name: [b]\n  data_files: {train: '../*.csv'}"
    labels = "dataset_info: {features: [{name: text, dtype: {class_label: {names: {'0': *a39}}}}]}"
    head = f"---\n{bomb}\n{entries}\n{labels}\n---\n".encode()
    files = {"README.md": head, "train.csv": b"text,label\na,b\n", "test.csv": b"text,label\na,b\n"}
    outside = dict.fromkeys(("../out.csv", "/etc/train.csv", "x/../../train.csv"), b"text,label\nsecret,b\n")
    stand_in.publish("datasets/me/data", {**files, **outside})
    found = got("me/data").splits
    assert {split: [path.name for path in paths] for split, paths in found.items()} == {
        "train": ["train.csv"],
        "test": ["test.csv"],
    }


# -- bad days --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 500}, r"500"),
        ({"status": 503}, r"503"),
        ({"status": 401, "code": "GatedRepo"}, r"terms.*HF_TOKEN.*hf auth login"),
        ({"status": 403, "code": "GatedRepo"}, r"terms.*HF_TOKEN.*hf auth login"),
        ({"status": 403}, r"403.*HF_TOKEN.*hf auth login"),
        ({"portal": True}, r"log in to this network"),
    ],
)
@pytest.mark.parametrize("where", ["GET /api/datasets", "(HEAD|GET) .*train-"])
def test_an_answer_is_told_as_it_is_and_asked_for_once(
    fault: dict[str, Any], told: str, where: str, stand_in: StandIn
) -> None:
    ag_news(stand_in)
    if fault.get("portal") and "train" in where:
        where = "/large/"  # a portal that came up meanwhile
        told = "downloaded|failed|portal|log in|Consistency|size"
    stand_in.fail(where, **fault)
    with pytest.raises(TableError, match=rf"(?s){told}.*bundled is bundled"):
        got("fancyzhx/ag_news")
    assert sum("/api/datasets" in asked for asked in stand_in.asked) == 1
    stand_in.heal()
    assert len(sources.of_hub(got("fancyzhx/ag_news")).splits["train"]) == 30


def test_a_name_that_the_hub_does_not_know_is_told(stand_in: StandIn) -> None:
    with pytest.raises(TableError, match=r"no public repository of this name.*bundled is bundled"):
        got("me/nothing")
    with pytest.raises(TableError, match=r"no public repository of this name"):
        finish(hub_data.fetch_collection("me/nothing", "workshop", lambda: iter(())))
    assert sum("/api/datasets" in asked for asked in stand_in.asked) == 2


def test_a_hub_that_drops_packets_costs_seconds_and_nothing_where_all_is_cached(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ag_news(stand_in)
    got("fancyzhx/ag_news")
    with dropping() as url:
        point_at(url, tmp_path / "hf", monkeypatch)
        assert within(2, lambda: got("fancyzhx/ag_news")) == [None]
        for seconds in (4, 1):  # an absence is remembered
            (error,) = within(seconds, lambda: got("dair-ai/emotion"))
            assert "the Hub does not answer" in str(error)


def test_a_stop_is_obeyed_while_the_server_is_silent_and_the_next_start_goes_on(stand_in: StandIn) -> None:
    emotion(stand_in)
    for where in ("GET /api/datasets", "HEAD .*README", "GET .*/large/"):
        stand_in.waiting.clear()
        stand_in.heal()
        stand_in.fail(where, **({"halt": 50} if "large" in where else {"silent": True}))

        def obey() -> Iterator[Event]:
            if stand_in.waiting.is_set():
                raise Stopped
            return iter(())

        (error,) = within(3, lambda: finish(hub_data.fetch("dair-ai/emotion", "", obey)))
        assert isinstance(error, Stopped)
        assert hub_data.cached("dair-ai/emotion") is None
    stand_in.clear()
    emotion(stand_in)
    assert len(sources.of_hub(got("dair-ai/emotion")).splits["train"]) == 40


def test_a_connection_that_is_cut_leaves_no_half_of_a_data_set(stand_in: StandIn, tmp_path: Path) -> None:
    emotion(stand_in)
    stand_in.fail("/large/", times=1)  # the first file comes whole
    stand_in.fail("/large/|HEAD .*train-00001", status=500)
    with pytest.raises(TableError, match="500"):
        got("dair-ai/emotion")
    assert hub_data.cached("dair-ai/emotion") is None
    whole = [path for path in (tmp_path / "hf").rglob("*.parquet") if path.is_file()]
    assert len(whole) == 1
    stand_in.heal()
    stand_in.sent.clear()
    found = got("dair-ai/emotion")
    assert found.splits["train"][0].samefile(whole[0])
    assert sum("/large/" in file for file in stand_in.sent) == 2
    assert len(sources.of_hub(found).splits["train"]) == 40
    assert not list((tmp_path / "hf").rglob("*.incomplete"))


def test_a_damaged_listing_is_asked_for_again(stand_in: StandIn) -> None:
    ag_news(stand_in)
    got("fancyzhx/ag_news")
    (listing,) = (home.cache() / "listings").iterdir()
    for damaged in ("", "[]", json.dumps({"commit": 1, "files": [], "readme": "", "converted": 0})):
        listing.write_text(damaged)
        assert len(got("fancyzhx/ag_news").splits) == 2


def test_a_command_that_downloads_obeys_a_signal_and_runs_the_next_time(stand_in: StandIn, tmp_path: Path) -> None:
    scifact(stand_in)
    stand_in.fail("GET .*/large/", halt=100)
    command = [sys.executable, "-m", "llmlab_tui", "retrieve", "--data", "BeIR/scifact", "--method", "bm25"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert stand_in.waiting.wait(30)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    assert process.returncode == 130, told
    assert told.count("downloading") < 10
    stand_in.heal()
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0, again.stderr


# -- a look ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1000, 100_000])
def test_a_look_reads_the_first_rows_only(group: int, stand_in: StandIn) -> None:
    ag_news(stand_in, 100_000, group)
    with hub_data.first_rows("fancyzhx/ag_news", "helpdesk", lambda: iter(()), ask=True) as fetched:
        seen = tables.preview("fancyzhx/ag_news", count=40, fetched=fetched)
        assert len(seen.rows) == 40
        assert (seen.column("text"), seen.column("label")) == ("text", "label")
        folder = fetched.splits["train"][0].parent
    assert 0 < sum(stand_in.sent.values()) < fetched.bytes / 4
    assert not folder.exists()
    assert hub_data.cached("fancyzhx/ag_news") is None


@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.csv.gz"])
def test_a_look_at_a_text_reads_its_beginning_only(name: str, stand_in: StandIn) -> None:
    import gzip
    import random

    rng = random.Random(0)
    rows = [(f"text {row} {rng.random()} {rng.random()}", "ab"[row % 2]) for row in range(30_000)]
    if "csv" in name:
        content = "\n".join(["text,label", *map(",".join, rows)]).encode()
    else:
        content = "\n".join(json.dumps({"text": text, "label": label}) for text, label in rows).encode()
    content = gzip.compress(content) if name.endswith("gz") else content
    stand_in.publish("datasets/me/data", {name: content, "test.csv": b"text,label\nhi,a\n"})
    with hub_data.first_rows("me/data", "helpdesk", lambda: iter(()), ask=True) as fetched:
        seen = tables.preview("me/data", count=40, fetched=fetched)
    assert [row[0] for row in seen.rows] == [text for text, _ in rows[:40]]
    assert seen.repairs == ()
    assert sum(stand_in.sent.values()) < len(content) * 0.6 < fetched.bytes


def test_a_look_keeps_little_of_what_decompresses_to_much(stand_in: StandIn) -> None:
    import gzip

    lines = b"text,label\n" + b"a text,a\nanother text,b\n" * (1 << 20)
    stand_in.publish("datasets/me/data", {"train.csv.gz": gzip.compress(lines)})
    with hub_data.first_rows("me/data", "helpdesk", lambda: iter(()), ask=True) as fetched:
        (part,) = fetched.splits["train"]
        assert part.stat().st_size <= hub_data.HEAD
        assert lines.startswith(part.read_bytes())
        assert part.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    ("content", "says"), [(b"PAR1 no table PAR1", "train.parquet is no readable Parquet"), (None, "holds no rows")]
)
def test_a_look_at_a_parquet_file_without_rows_says_so(content: bytes | None, says: str, stand_in: StandIn) -> None:
    import io

    import pyarrow
    from pyarrow import parquet

    empty = io.BytesIO()
    with parquet.ParquetWriter(empty, pyarrow.schema([("text", pyarrow.string())])):
        pass
    stand_in.publish("datasets/me/data", {"train.parquet": content or empty.getvalue()})
    with (
        pytest.raises(TableError, match=says),
        hub_data.first_rows("me/data", "helpdesk", lambda: iter(()), ask=True),
    ):
        pass


def test_a_look_at_what_cannot_be_had_says_why(stand_in: StandIn) -> None:
    ag_news(stand_in)
    stand_in.fail("GET .*/large/", status=503)
    with (
        pytest.raises(TableError, match="503"),
        hub_data.first_rows("fancyzhx/ag_news", "helpdesk", lambda: iter(()), ask=True),
    ):
        pass
