"""The Retrieve pane on the screen: a run for real in this process, and everything that keys do with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from retrieving import collection, write
from stage import HOSTILE, SIZES, controls, shown, shows, until
from textual.pilot import Pilot

from checkpoints import home as places
from checkpoints import run as runs
from checkpoints.run import Run
from engine.encoders import sentence
from engine.retrieve import runs as retrieve_runs
from engine.retrieve.export import write_trec
from engine.retrieve.search import library
from engine.retrieve.spec import RetrieveSpec
from engine.retrieve.task import retrieve
from engine.runs.events import ContenderDone, ContenderStep, EncodingDone, Event, Loaded
from engine.runs.messages import Control, finish
from engine.runs.worker import Task
from tui.app import LabApp
from tui.follow import comparison_form, last_values
from tui.retrieve.figures import differences, figures
from tui.retrieve.form import RetrieveForm
from tui.retrieve.pane import RetrievePane
from tui.retrieve.runs import Retrievals
from tui.retrieve.searching import Answer, searching
from tui.retrieve.story import RetrieveStory
from tui.retrieve.views import ViewState
from tui.widgets.field import Field


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """A home with a finished retrieval, made once for all tests that only look at one."""
    place = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(place / "home"))
        spec = RetrieveSpec(str(collection(place / "small")), str(encoder), epochs=3, learning_rate=3e-3, device="cpu")
        assert list(retrieve_runs.drive(retrieve_runs.create(spec), Control()))
    return place / "home"


@pytest.fixture
def kept(once: Path, home: Path) -> Run:
    """That retrieval in a home of this test's own."""
    shutil.copytree(once, home)
    return runs.every(places.runs())[0]


@pytest.fixture
def at_hand(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the form would begin with: a small collection and encoder; runs go in this process."""
    folder = collection(tmp_path / "small")

    def begin(task_runs: Retrievals, run: Run) -> Task:
        def task(control: Control) -> Iterator[Event]:
            return retrieve_runs.drive(run, control)

        return task

    monkeypatch.setattr(Retrievals, "begin", begin)
    last_values.write("retrieve.json", {"data": str(folder), "encoder": str(encoder), "epochs": "3"})
    return folder


async def go(pilot: Pilot[int]) -> RetrievePane:
    """Show the pane, with the form as it was kept."""
    await shows(pilot, "Start training")
    await pilot.press("6")
    await shows(pilot, "Run comparison")
    return pilot.app.query_one(RetrievePane)


async def opened(pilot: Pilot[int], run: Run) -> RetrievePane:
    """Show a finished retrieval."""
    pane = await go(pilot)
    pane.open(run)
    await until(pilot, lambda: pane.story.finished is not None and pane.gains and pane.library is not None, 60)
    await until(pilot, lambda: not pane.background.active)
    return pane


async def test_the_bundled_collection_is_offered_without_anything_typed() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await go(pilot)
        await shows(pilot, "workshop", "99 documents", "40 train queries")


async def test_a_typed_query_is_answered_by_three_rankers_and_relevant_documents_are_marked(at_hand: Path) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await until(pilot, lambda: "small" in pane.form.text("data"))
        await pilot.press("f5")
        await until(pilot, lambda: pane.story.finished is not None and pane.gains and pane.library is not None, 60)
        await pilot.press("slash")
        query = pane.library.collection.queries["q30"] if pane.library else ""
        await pilot.press(*(key if key != " " else "space" for key in query[:4]))
        await until(pilot, lambda: pane.found is not None and pane.found.query == query[:4].strip())
        pane.box.value = query
        await until(pilot, lambda: pane.found is not None and len(pane.found.found) == 3 and pane.found.known)
        await shows(pilot, "test query q30, 1 relevant document ●", "BM25", "frozen mean", "trained")
        answer = pane.found
        assert answer is not None
        assert answer.relevant == frozenset({30})
        text = shown(pilot.app)
        assert any(mark in text for mark in ("▲", "▼", "=", "new"))
        await pilot.press("enter", "right", "down", "enter")
        await shows(pilot, "rank in BM25")
        await pilot.press("escape")
        await shows(pilot, "frozen mean")
        await pilot.press("c")
        await until(pilot, lambda: pane.found is not None and "cls" in pane.found.found)
        await shows(pilot, "frozen [CLS]")


async def test_queries_by_gain_lead_to_the_columns(kept: Run) -> None:
    async with LabApp().run_test(size=(100, 30)) as pilot:
        pane = await opened(pilot, kept)
        await pilot.press("g")
        await shows(pilot, "trained against BM25", "better", "worse", "95%:")
        rows = [one.values["trained"] - one.values["bm25"] for one in pane.gains]
        assert len(rows) == 8
        await shows(pilot, f"{sum(rows) / 8:+.3f}")
        await pilot.press("v")
        assert (pane.view_state.first, pane.view_state.second) == ("trained", "cls")
        await pilot.press("enter")
        await until(pilot, lambda: pane.found is not None and pane.found.known.startswith("test query"))
        before = pane.box.value
        await pilot.press("j")
        await until(pilot, lambda: pane.box.value != before)
        await pilot.press("k")
        await until(pilot, lambda: pane.box.value == before)


@pytest.mark.parametrize("size", [SIZES[0], SIZES[3]])
async def test_every_view_fits_every_screen(size: tuple[int, int], kept: Run) -> None:
    async with LabApp().run_test(size=size) as pilot:
        pane = await opened(pilot, kept)
        await pilot.press("a")
        await shows(pilot, "nDCG@10", "R@100", "frozen mean")
        await pilot.press("m")
        await shows(pilot, "own", "others", "cosine")
        await pilot.press("g")
        await shows(pilot, "against")
        pane.box.value = "card late"
        await until(pilot, lambda: pane.found is not None and len(pane.found.found) == 3)
        await shows(pilot, "BM25", "trained")
        assert all(strip.cell_length <= size[0] for strip in pilot.app.screen._compositor.render_strips(pilot.app.size))


async def test_hostile_documents_and_queries_stay_text(tmp_path: Path, encoder: Path, at_hand: Path) -> None:
    kept = {"data": str(at_hand), "encoder": str(encoder), "methods": "bm25 mean"}
    last_values.write("retrieve.json", kept)
    write(at_hand / "corpus.jsonl", [{"_id": HOSTILE, "title": HOSTILE, "text": f"card {HOSTILE}"}])
    write(at_hand / "queries.jsonl", [{"_id": "q", "text": f"card {HOSTILE}"}])
    (at_hand / "qrels" / "train.tsv").unlink()
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await until(pilot, lambda: "small" in pane.form.text("data"))
        await pilot.press("f5")
        await until(pilot, lambda: pane.story.finished is not None and pane.library is not None, 60)
        pane.box.value = f"card {HOSTILE}"
        await until(pilot, lambda: pane.found is not None and "bm25" in pane.found.found)
        await pilot.pause(0.3)
        assert controls(pilot.app) == []
        pane.view_state.column = 0
        await pilot.press("escape", "enter")
        await pilot.pause(0.2)
        assert controls(pilot.app) == []


async def test_a_run_of_before_is_opened_and_searched(kept: Run) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await go(pilot)
        await pilot.press("o")
        await shows(pilot, "Open which retrieval?", "small: mean 0.")
        await pilot.press("enter")
        await until(pilot, lambda: pane.story.finished is not None and pane.library is not None)
        pane.box.value = "card late"
        await until(pilot, lambda: pane.found is not None and "mean" in pane.found.found)
        await pilot.press("escape", "7")
        await shows(pilot, "retrieve-small", "nDCG@10")


async def test_what_is_wrong_in_the_form_is_said_and_nothing_starts(at_hand: Path) -> None:
    async with LabApp().run_test(size=(200, 50)) as pilot:
        pane = await go(pilot)
        await until(pilot, lambda: "small" in pane.form.text("data"))
        for name, text in {"data": "/no/such folder", "length": "x", "methods": ""}.items():
            pane.form.query_one(f"#re-field-{name}").value = text  # type: ignore[attr-defined]
        await pilot.press("f5")
        await shows(pilot, "no such file or folder", "'x' is not a whole number", "name at least one")
        assert pane.run_shown is None


async def test_the_search_goes_on_with_the_last_checkpoint_while_training_does(kept: Run) -> None:
    """Events are told one by one, so the search is asked between them."""
    async with LabApp().run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, kept)
        pane.story.finished = None
        pane.story.fold(
            ContenderStep("trained", 3, 10, 0.5, None, 0.6, 1.0, "epoch 1", 0.6, 3, ([0.9, 0.1], [0.2, 0.8]), 36)
        )
        assert "trained" in pane.ready
        pane.box.value = "card late"
        await until(pilot, lambda: pane.found is not None and "trained" in pane.found.found)
        assert "step" in pane.found.notes["trained"] if pane.found else False
        await pilot.press("escape", "m")
        await shows(pilot, "right 2/2", "step 3 of 10")


def test_a_query_that_is_a_document_does_not_find_itself(tmp_path: Path) -> None:
    folder = collection(tmp_path / "own")
    write(folder / "corpus.jsonl", [{"_id": name, "text": "card late"} for name in ("q30", "d1", "d2")])
    (folder / "qrels" / "test.tsv").write_text("q30\td1\t1\n")
    found = finish(library(RetrieveSpec(data=str(folder)), Control()))
    asked = found.collection.queries["q30"]
    write(folder / "corpus.jsonl", [{"_id": name, "text": asked} for name in ("q30", "d1", "d2")])
    found = finish(library(RetrieveSpec(data=str(folder)), Control()))
    (*_, last) = searching(found, asked, ("bm25",), frozenset({"bm25"}))(Control())
    assert isinstance(last, Answer)
    assert last.found["bm25"].rows == (1, 2)


@pytest.mark.parametrize("width", [80, 120])
def test_several_encoders_have_their_methods_costs_and_training_in_the_figures(width: int) -> None:
    other, methods = (
        f"bert-{HOSTILE}",
        ("bm25", "cls", "mean", "cls-some-other-bert", "mean-some-other-bert", "trained"),
    )
    story = RetrieveStory()
    story.fold(Loaded("retrieve", "small", "x", 24, 0, 8, "test", "f" * 64, methods, (), (), documents=36))
    story.fold(EncodingDone("minilm", 60, 36, 1.25))
    story.fold(EncodingDone(other, 60, 0, 12.0))
    for place, method in enumerate(methods):
        figures_of = dict.fromkeys(("ndcg@10", "recall@100", "mrr@10", "map@100"), 0.5) | {"interval": [0.4, 0.6]}
        kind = (
            {"encoder": other, "pretraining": "words"}
            if "-" in method
            else {"encoder": "minilm", "pretraining": "similarity"}
        )
        result = (
            figures_of | {"queries_per_second": 9.0, "index_bytes": 9, "index_seconds": 1.0} | (kind if place else {})
        )
        against = {one: {"ndcg@10": {"mean": 0.1, "low": 0.01, "high": 0.2, "p": 0.01}} for one in methods[:place]}
        story.fold(ContenderDone(method, result, against))
    lines = ["".join(part.text for part in strip) for strip in figures(story, ViewState(), width, 60)]
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(line.strip("│") for line in lines).split())
    assert "encoding (minilm): 1.2 s, 60 texts, 36 of them truncated" in text
    assert "mean some-other-be 0.500" in text
    assert "[CLS] some-other-b 0.500" in text
    assert "The encoder (minilm) was trained for sentence similarity: its frozen features are those of" in text
    assert "was trained to predict words, not to compare texts." in text
    assert "trained − mean some-other-be +0.100" in text
    assert "mean some-other-be − frozen mean +0.100" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [120, 60])
def test_differences_say_which_could_be_chance_after_adjustment_and_in_runs_without_p(width: int) -> None:
    def lines(**pairs: dict[str, float]) -> list[str]:
        story = RetrieveStory()
        for pair, found in pairs.items():
            first, second = pair.split("_")
            story.against[first, second] = {"ndcg@10": {"mean": 0.1, "low": 0.01, "high": 0.2, **found}}
        return [line.plain.rstrip() for line in differences(story, width) if " − " in line.plain]

    one, two = lines(mean_cls={"p": 0.04}, hybrid_bm25={"p": 0.02})
    assert one.endswith(" 0.040")
    assert two.endswith(" 0.040")  # twice 0.02
    one, two = lines(mean_cls={"p": 0.04}, hybrid_bm25={"p": 0.03})
    assert one.endswith(" 0.060  could be chance" if width == 120 else " 0.060  chance")
    sure, unsure = lines(mean_cls={}, hybrid_bm25={"low": -0.1})  # as earlier versions wrote them
    assert sure.endswith(" –")
    assert unsure.endswith("chance")


async def test_the_verdict_comes_before_the_differences_and_both_can_be_scrolled_to(kept: Run) -> None:
    story, state = RetrieveStory(), ViewState()
    for event in Retrievals().follow(kept)(Control()):
        story.fold(event)

    def drawn(height: int) -> str:
        return " ".join(" ".join(line.text for line in figures(story, state, 78, height)).split())

    whole = drawn(80)
    assert whole.count("steps of training.") == 1  # the end of the verdict
    assert whole.index("steps of training.") < whole.index("differences in nDCG@10")
    assert "differences in nDCG@10" not in drawn(18)
    seen = []
    for state.scroll in range(60):
        seen.append(drawn(18))
    for title in ("differences in nDCG@10", "training loss by step"):
        assert any(title in one for one in seen), title


async def test_rankings_are_written_as_trec_run_files_by_a_key(kept: Run, tmp_path: Path) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, kept)
        await pilot.press("escape", "x")
        await shows(pilot, "Export the rankings", f"{kept.name}.txt")
        pilot.app.screen.query_one(Field).value = str(tmp_path / "new" / "run.txt")
        wanted = [file.read_text() for file in write_trec(kept, tmp_path / "run.txt")]
        files = [tmp_path / "new" / f"run.{method}.txt" for method in pane.story.judged]
        assert len(files) == len(wanted) == 5
        await pilot.press("enter")
        await until(pilot, lambda: [file.read_text() for file in files if file.is_file()] == wanted)
        await pilot.press("x")
        await shows(pilot, "Export the rankings")
        pilot.app.screen.query_one(Field).value = str(tmp_path)
        await pilot.press("enter")
        await shows(pilot, "The export failed", "enter a file name")
        await pilot.press("escape", "X")
        await shows(pilot, "Export the bi-encoder")


def test_what_the_encoder_was_trained_for_is_said_once(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # so that the names are short
    folder = Path("sentences")
    shutil.copytree(encoder, folder)
    sentence.write(sentence.SentenceLayout(), folder, 16)
    spec = RetrieveSpec(str(collection(Path("small"))), str(folder), methods=("bm25", "mean"), device="cpu")
    story, seen = RetrieveStory(), []
    for event in retrieve(spec, Control()):
        story.fold(event)
        if story.finished is not None or (isinstance(event, ContenderDone) and event.contender == "mean"):
            drawn = "".join(
                "".join(part.text for part in line).rstrip() + " " for line in figures(story, ViewState(), 200, 40)
            )
            notices = " ".join(notice.text for notice in story.notices)
            seen.append((drawn + notices).count("trained for sentence similarity"))
    assert seen == [1, 1]  # before there is a verdict, and with it


def test_the_form_shows_what_is_read_and_a_large_collection_by_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = collection(tmp_path / "small")
    values = {"data": str(folder), "text_column": "auto", "encoding": "auto"}
    seen = RetrieveForm.read(values)
    assert seen.sizes == (("documents", 36), ("train queries", 24), ("test queries", 8))
    text = seen.facts().plain
    for line in ("corpus.jsonl: id from '_id', title from 'title', text from 'text'", "document d0", "test query q24"):
        assert line in text, text
    assert "no field 'x'" in RetrieveForm.read({**values, "text_column": "x"}).problem
    assert "'utf-9' is not an encoding" in RetrieveForm.read({**values, "encoding": "utf-9"}).problem
    with (folder / "corpus.jsonl").open("a") as file:
        file.write("no JSON, and never read\n")
    monkeypatch.setattr(comparison_form, "LARGE", 100)
    monkeypatch.setattr(comparison_form, "HEAD", 30)
    seen = RetrieveForm.read(values)
    assert (seen.sizes, seen.repairs, seen.problem) == ((), (), "")
    assert "only the first 30 rows" in seen.note
    assert seen.first[0][0] == "document d0"
