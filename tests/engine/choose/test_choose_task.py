"""Methods compared: every one is told, kept, read back and asked again, beside controls that are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spying
import tiny
import tinylm
from workbench import notices, only

from checkpoints import store
from checkpoints.journal import Reader, records
from checkpoints.run import Run
from data.choices import Item, TableError, load
from engine.choose import contenders, likelihood, zero_shot
from engine.choose import report as choose_report
from engine.choose import results as choose_results
from engine.choose import runs as choose_runs
from engine.choose.answer import Chooser
from engine.choose.fine_tune import Ranking, TuneRankSettings, scores
from engine.choose.spec import FINETUNE, METHODS, ZERO_SHOT, ChooseSpec
from engine.choose.task import choose
from engine.comparison import statistics
from engine.comparison.results import TUNED
from engine.comparison.tuned_encoder import FineTuned
from engine.encoders import epochs
from engine.encoders import find as encoders
from engine.encoders.encode import EncodeFailed
from engine.encoders.epoch_checkpoints import EpochCheckpoints
from engine.encoders.epochs import made_of
from engine.runs import events as happened
from engine.runs.events import Classified, ContenderDone, ContenderStep, ItemJudged, Loaded
from engine.runs.listing import summarise
from engine.runs.messages import Control, Stop, Stopped
from engine.runs.spec import BadSpec, restored, to_dict
from engine.runs.writes import PendingWrites
from tui.choose.runs import Rankings
from tui.command.narrate import Narrator

WORDS = tiny.WORDS[9:]


def item(number: int) -> Item:
    """The right choice repeats a word of the question."""
    own = WORDS[number % len(WORDS)]
    others = [WORDS[(number + step) % len(WORDS)] for step in (1, 2, 3)][: 2 + number % 2]
    choices = [*others]
    choices.insert(number % 3, own)
    return Item(f"where is {own} {tiny.WORDS[number % 7]}", tuple(choices), number % 3)


def write(path: Path, count: int) -> Path:
    """A file of items."""
    rows = [
        {"question": one.question, "choices": list(one.choices), "answer": one.gold} for one in map(item, range(count))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Small models and questions."""
    folder = tmp_path_factory.mktemp("workshop")
    tinylm.write_gpt2(folder, n_positions=96)
    return {
        "model": str(folder),
        "encoder": str(tiny.bert(folder / "bert")),
        "data": str(write(folder / "questions.jsonl", 60)),
    }


@pytest.fixture(scope="module")
def done(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Any]]:
    """A run of every method, and what it told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(tmp_path_factory.mktemp("home")))
        spec = ChooseSpec(**workshop, methods=METHODS, seeds=2, epochs=2, learning_rate=3e-3, device="cpu")
        run = choose_runs.create(spec)
        return run, list(choose_runs.drive(run, Control()))


def test_every_method_is_told_with_its_items(done: tuple[Run, list[Any]]) -> None:
    _, events = done
    loaded, last = only(Loaded, events)[0], events[-1]
    assert loaded.contenders == ("chance", "longest", *METHODS)
    assert isinstance(last, Classified)
    assert (last.reason, list(last.results)) == ("done", list(loaded.contenders))
    assert [event.contender for event in only(ContenderDone, events)] == list(loaded.contenders)
    for method in METHODS:
        ranked = [event for event in only(ItemJudged, events) if event.contender == method]
        assert [event.item for event in ranked] == list(range(loaded.judged))
        right = np.mean([np.argmax(event.scores) == event.gold for event in ranked])
        result = last.results[method]
        assert right == pytest.approx(ranked[-1].accuracy, abs=1e-6)
        seeds = result.get("seeds", [right])
        assert seeds[0] == pytest.approx(right, abs=1e-6)
        assert result["accuracy"] == pytest.approx(np.mean(seeds), abs=1e-6)
        assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
        assert result["seconds"] > 0
        assert sum(place["right"] for place in result["places"]) == loaded.judged
        assert sum(part["count"] for part in result["margins"]) == loaded.judged
        assert 0 <= result["question_hidden"]["p"] <= 1
    for method in ("margin", "cross-entropy"):
        assert len(last.results[method]["seeds"]) == 2
        assert last.results[method]["choices_shuffled"]["changed"] == 0
    assert last.results["zero-shot"]["choices_shuffled"]["changed"] == 0
    assert set(last.results["zero-shot"]["ways"]) == {"sum", "token", "character", "pmi"}
    first = last.verdict.partition("Fine-tuning (")
    assert all(f"{other} (" in first[2] for other in ("chance", "the longest choice", "zero-shot"))
    assert all(f"the scorer with {loss} (" in first[2] for loss in ("margin loss", "cross-entropy"))
    assert last.verdict.count("itself with the question hidden (") == len(METHODS)
    assert re.search(r"limited by \d+ training items, \d+ judged items and \d+ steps of fine-tuning\.$", last.verdict)
    Narrator(as_json=False, quiet=False)


def test_the_journal_gives_the_same_events(done: tuple[Run, list[Any]]) -> None:
    run, events = done
    reader = Reader(run.events)
    back = [event for record in records(reader.lines()) if (event := happened.from_dict(record)) is not None]
    reader.close()
    saved_epochs = [event for event in events if type(event) not in happened.UNRECORDED]
    assert [type(event) for event in back] == [type(event) for event in saved_epochs]
    for one, other in zip(only(ItemJudged, back), only(ItemJudged, saved_epochs), strict=True):
        assert (one.contender, one.item, one.scores) == (other.contender, other.item, other.scores)
    assert back[-1].results == json.loads(json.dumps(happened.to_dict(events[-1])))["results"]
    assert run.read_json("results.json") == back[-1].results
    assert summarise(run).task == "choose"
    assert summarise(run).state == "finished"


def test_the_run_ranks_its_own_items_again(done: tuple[Run, list[Any]]) -> None:
    run, events = done
    items = choose_results.read(run).items
    chooser = Chooser(run)
    assert chooser.methods == list(METHODS)
    for method in METHODS:
        told = [event for event in only(ItemJudged, events) if event.contender == method][3]
        again = chooser.rank(items[3], method)
        assert again.scores == pytest.approx(told.scores, abs=1e-4)
        if method == ZERO_SHOT:
            assert [[text for text, _ in strip] for strip in again.strips] == [
                [text for text, _ in strip] for strip in told.strips
            ]


def test_the_same_seed_gives_the_same_results(
    workshop: dict[str, str], done: tuple[Run, list[Any]], tmp_path: Path
) -> None:
    events = list(choose(ChooseSpec(**workshop, methods=("margin",), seeds=1, device="cpu"), Control()))
    first = done[1][-1].results["margin"]
    again = events[-1].results["margin"]
    assert again["accuracy"] == again["seeds"][0] == first["seeds"][0]
    assert again["spread"] is None
    scores = [event.scores for event in only(ItemJudged, events)]
    assert scores == [event.scores for event in only(ItemJudged, done[1]) if event.contender == "margin"]


def test_controls_are_what_they_say(workshop: dict[str, str], done: tuple[Run, list[Any]]) -> None:
    judged = load(workshop["data"]).judged
    results = done[1][-1].results
    assert results["chance"]["accuracy"] == pytest.approx(np.mean([1 / len(one.choices) for one in judged]), abs=1e-6)
    scores = choose_report.longest(judged, 1)
    for row, one in zip(scores, judged, strict=True):
        longest = max(map(len, one.choices))
        assert len(one.choices[int(row.argmax())]) == longest
    order = choose_report.orders(judged, 1)
    for row, one in zip(order, judged, strict=True):
        assert sorted(row[: len(one.choices)]) == list(range(len(one.choices)))


def test_stopping_keeps_what_zero_shot_has_judged(
    workshop: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot, "TOGETHER", 1)  # a batch is ended before a stop
    run = choose_runs.create(ChooseSpec(**workshop, methods=(ZERO_SHOT, "margin")))
    control, events = Control(), []
    for event in choose_runs.drive(run, control):
        events.append(event)
        if isinstance(event, ItemJudged) and event.done == 5:
            control.send(Stop())
    assert events[-1].reason == "stopped"
    stopped = events[-1].results[ZERO_SHOT]
    total = only(Loaded, events)[0].judged
    assert (stopped["items"], stopped["judged"], stopped["of"]) == (5, 5, total)
    assert f"Figures of zero-shot are partial: 5 of {total} items were judged." in events[-1].verdict
    assert f"partial: 5 of {total}" in Rankings().offers()[0].about
    assert "margin" not in events[-1].results
    assert (summarise(run).state, summarise(run).partial) == ("stopped", f"5 of {total}")


def test_fine_tuning_goes_on_after_an_epoch(workshop: dict[str, str]) -> None:
    encoder: Any = encoders.of_folder(Path(workshop["encoder"]), "tiny", "", workshop["encoder"])
    items = [item(number) for number in range(40)]
    settings = TuneRankSettings(epochs=3, learning_rate=3e-3, rows=8, patience=9, length=32)

    def run(fingerprint: str, control: Control, on: Any = None) -> Any:
        with EpochCheckpoints(*made_of(encoder, settings, fingerprint)) as saved_epochs:
            rows = [(some, [one.gold for one in some]) for some in (items[:30], items[30:])]
            return tiny.finish(epochs.tune(Ranking(*rows, encoder, settings, control, "cpu"), saved_epochs), on)

    _, whole = run("a", Control())
    control = Control()

    def stop(event: Any) -> None:
        if isinstance(event, ContenderStep) and event.held_out_loss is not None:
            control.send(Stop())

    with pytest.raises(Stopped):
        run("b", control, stop)
    events, later = run("b", Control())
    assert "goes on after epoch 1 of 3" in notices("finetune", events)[0].text
    assert later.history == whole.history
    steps = [event for event in events if isinstance(event, ContenderStep) and event.held_out_loss is not None]
    assert [(event.held_out_loss, event.held_out_score) for event in steps] == list(whole.history)
    assert [event.step for event in steps] == [4, 8, 12]
    judged = [item(number) for number in range(50, 60)]
    one, other = (tiny.finish(scores(tuned, judged, Control()))[1] for tuned in (whole, later))
    assert np.array_equal(one, other)


def test_a_stop_between_fine_tuning_and_its_result_loses_none_of_it(workshop: dict[str, str]) -> None:
    spec = ChooseSpec(**workshop, methods=(FINETUNE,), epochs=2, learning_rate=3e-3, device="cpu")
    run, control = choose_runs.create(spec), Control()
    for event in choose_runs.drive(run, control):
        if isinstance(event, ItemJudged):
            control.send(Stop())
    assert FINETUNE not in run.read_json("results.json")
    resumed = list(choose_runs.drive(run, Control()))
    assert "goes on after epoch 2 of 2" in notices("finetune", resumed)[0].text
    again = list(choose_runs.drive(run, Control()))
    assert not notices("finetune", again)
    assert again[-1].results == resumed[-1].results
    assert [(one.item, one.scores) for one in only(ItemJudged, again)] == [
        (one.item, one.scores) for one in only(ItemJudged, resumed)
    ]
    assert [one.held_out_loss for one in only(ContenderStep, again)] == [
        one.held_out_loss for one in only(ContenderStep, resumed) if one.held_out_loss is not None
    ]
    control = Control()
    for event in choose_runs.drive(run, control):
        if isinstance(event, ContenderDone):
            control.send(Stop())
    assert run.read_json("results.json")[FINETUNE] == again[-1].results[FINETUNE]
    (run.path / TUNED / "head.safetensors").write_bytes(b"")
    assert [one for one in only(ContenderStep, list(choose_runs.drive(run, Control()))) if one.seconds_left is not None]


def test_the_frozen_encoder_stays_as_it_is(workshop: dict[str, str], done: tuple[Run, list[Any]]) -> None:
    before = encoders.of_folder(Path(workshop["encoder"]), "tiny", "", workshop["encoder"]).identity
    assert done[0].read_json("choices.json")["encoder"]["identity"] == before


def test_too_few_to_train_on(workshop: dict[str, str], tmp_path: Path) -> None:
    data = str(write(tmp_path / "one.jsonl", 1))
    events = list(choose(ChooseSpec(**{**workshop, "data": data}, methods=("margin", FINETUNE)), Control()))
    assert "too few questions" in notices("train", events)[0].text
    assert list(events[-1].results) == ["chance", "longest"]


def test_bad_specs(workshop: dict[str, str]) -> None:
    with pytest.raises(BadSpec) as told:
        list(choose(ChooseSpec(data="", methods=("guess",), margin=0, seeds=0, pooling="sum"), Control()))
    assert {problem.field for problem in told.value.problems} == {"data", "methods", "margin", "seeds", "pooling"}
    with pytest.raises(TableError):
        list(choose(ChooseSpec(data="nowhere.jsonl"), Control()))
    spec = ChooseSpec(methods=("margin",), uninformative="", seeds=5)
    assert restored(ChooseSpec, json.loads(json.dumps(to_dict(spec)))) == spec


def test_a_damaged_run_is_told(tmp_path: Path, done: tuple[Run, list[Any]]) -> None:
    run = choose_runs.create(ChooseSpec())
    with pytest.raises(store.CheckpointError, match="no ranked questions"):
        Chooser(run)
    weights = done[0].path / "rankers" / "margin.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-40])
        with pytest.raises(store.CheckpointError, match="cannot be read"):
            Chooser(done[0]).rank(item(1), "margin")
    finally:
        weights.write_bytes(whole)


def test_figures_of_intervals_and_margins() -> None:
    low, high = statistics.wilson(8, 10)  # Wilson (1927), by hand
    z, p, n = 1.959963984540054, 0.8, 10
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (low, high) == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)))
    assert statistics.above(10, 10, 0.5) == pytest.approx(0.5**10)
    bins = statistics.by_margin(np.array([0.1, 0.4, 0.2, 0.3]), np.array([False, True, False, True]), 2)
    assert [(one.low, one.high, one.accuracy, one.count) for one in bins] == [(0.1, 0.2, 0.0, 2), (0.3, 0.4, 1.0, 2)]


def test_no_method_is_ever_given_labels_of_the_judged_split(
    workshop: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = [one.gold for one in load(workshop["data"]).judged]
    assert len(set(gold)) > 1

    def labels(one: Any) -> bool:
        if isinstance(one, np.ndarray):
            return one.tolist() == gold
        return isinstance(one, list | tuple) and [getattr(part, "gold", part) for part in one] == gold

    methods = (contenders.ZeroShot, contenders.Scorer, FineTuned)
    fitted = (contenders.FittedZeroShot, contenders.FittedScorer, contenders.TunedRanker)
    watched = dict.fromkeys(methods, ("fit",)) | dict.fromkeys(fitted, ("outputs", "controls"))
    asked = spying.watch(monkeypatch, watched, labels)
    spec = ChooseSpec(**workshop, methods=METHODS, seeds=1, epochs=1, device="cpu")
    told = list(choose(spec, Control()))
    assert len(only(ContenderDone, told)) == 2 + len(METHODS)
    given = ("fit", "Labelled", "Labelled", "PairFeatures", "Control")
    assert asked == len(METHODS) * [given, ("outputs", "Inputs", "Control"), ("controls", "Inputs", "Control")]


def test_choices_in_another_order_are_compared_item_by_item() -> None:
    rng = np.random.default_rng(4)
    items = [Item("?", ("a", "b", "c", "d"), int(gold)) for gold in rng.integers(0, 4, 40)]
    scores, order = rng.normal(size=(40, 4)), np.stack([rng.permutation(4) for _ in range(30)])
    moved = rng.normal(size=(30, 4))
    found = choose_report.of_controls(choose_report.Controls(shuffled=(order, moved)), scores, items, 1)
    right = changed = 0
    for row in range(30):  # the first items only, as of zero-shot
        chosen = order[row][max(range(4), key=lambda place, row=row: moved[row][place])]
        right += chosen == items[row].gold
        changed += chosen != scores[row].argmax()
    assert found["choices_shuffled"] == {"accuracy": round(right / 30, 6), "changed": changed, "items": 30}


def test_a_fine_tuning_is_found_again_only_by_its_key(workshop: dict[str, str], done: tuple[Run, list[Any]]) -> None:
    run, events = done
    spec = choose_runs.spec_of(run)
    writes = PendingWrites()
    results = choose_results.RankingStore(run, spec, load(workshop["data"], seed=spec.seed), writes)
    key = run.read_json("choices.json")["tuned"]["made"]
    found = results.earlier(FINETUNE, key)
    assert found is not None
    assert found.result == json.loads(json.dumps(events[-1].results[FINETUNE]))
    assert results.earlier(FINETUNE, [*key[:-1], "another fingerprint"]) is None


def test_items_that_cannot_be_scored_are_in_no_figure() -> None:
    rng = np.random.default_rng(5)
    items = [Item("?", ("a", "b", "c")[: 2 + row % 2], 0) for row in range(50)]
    scores = choose_report.matrix([rng.normal(size=len(one.choices)).tolist() for one in items[:40]])
    scores[3], scores[7, 1], scores[9, 0] = -np.inf, np.nan, -np.inf
    whole = [row for row in range(40) if row not in (3, 7, 9)]
    hits = [scores[row, : len(items[row].choices)].argmax() == 0 for row in whole]
    result = choose_report.figures(scores, items, seconds=0.0)
    assert [result[name] for name in ("items", "judged", "of", "unscored")] == [37, 40, 50, 3]
    assert result["accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert result["interval"] == pytest.approx(statistics.wilson(sum(map(int, hits)), 37), abs=1e-6)
    assert sum(place["right"] for place in result["places"]) == sum(one["count"] for one in result["margins"]) == 37
    right = choose_report.correct(scores, items)
    assert np.flatnonzero(np.isnan(right)).tolist() == [3, 7, 9, *range(40, 50)]
    hidden = choose_report.of_controls(choose_report.Controls(hidden=(scores,), ways={"sum": scores}), scores, items, 1)
    assert hidden["question_hidden"]["items"] == hidden["ways"]["sum"]["items"] == 37
    with pytest.raises(ValueError, match="none of 40"):
        choose_report.figures(np.full_like(scores, -np.inf), items, seconds=0.0)


def test_a_model_that_can_score_no_item_is_left_out(workshop: dict[str, str], tmp_path: Path) -> None:
    rows = [{"question": "ma?", "choices": ["gu " * 300, "va"], "answer": 0} for _ in range(8)]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    spec = ChooseSpec(**{**workshop, "data": str(tmp_path / "long.jsonl")}, methods=(ZERO_SHOT,), device="cpu")
    events = list(choose(spec, Control()))
    assert "none of" in notices(ZERO_SHOT, events)[0].text
    assert "longer than" in notices("model", events)[0].text
    assert (events[-1].reason, list(events[-1].results)) == ("done", ["chance", "longest"])
    assert {event.accuracy for event in only(ItemJudged, events)} == {0.0}


def test_features_and_losses_that_are_not_finite_are_one_error(workshop: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.bert(tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: part * float("nan") for name, part in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    for method, what in (("margin", "features of .* hold NaN"), (FINETUNE, "the loss of step 1 is not finite")):
        spec = ChooseSpec(**{**workshop, "encoder": str(folder)}, methods=(method,), epochs=1, device="cpu")
        with pytest.raises(EncodeFailed, match=what):
            list(choose(spec, Control()))


def test_a_new_start_goes_on_after_the_last_judged_item(
    workshop: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ChooseSpec(**workshop, methods=(ZERO_SHOT,), device="cpu")
    whole = list(choose(spec, Control()))
    monkeypatch.setattr(zero_shot, "TOGETHER", 1)  # a batch is ended before a stop
    asked: list[str] = []
    question = likelihood.Reader.question

    def counted(self: likelihood.Reader, one: Item) -> Any:
        asked.append(one.question)
        return question(self, one)

    monkeypatch.setattr(likelihood.Reader, "question", counted)

    def started(run: Run, after: int = 0) -> list[Any]:
        asked.clear()
        control, events = Control(), []
        for event in choose_runs.drive(run, control):
            events.append(event)
            if isinstance(event, ItemJudged) and event.done == after:
                control.send(Stop())
        return events

    run = choose_runs.create(spec)
    started(run, 5)
    saved = run.path / "zero-shot.jsonl"
    saved.write_bytes(saved.read_bytes()[:-20])  # killed while it wrote the fifth
    resumed = started(run)
    count = len(only(ItemJudged, whole))
    assert len(asked) == 1 + (count - 4) + count  # the first to compare, the others, and all with choices reordered
    for one, other in zip(only(ItemJudged, resumed), only(ItemJudged, whole), strict=True):
        assert (one.item, one.gold, one.accuracy) == (other.item, other.gold, other.accuracy)
        assert one.scores == pytest.approx(other.scores, abs=1e-4)  # what the cache holds decides how it is rounded
    for name in ("accuracy", "items", "judged", "of", "places", "choices_shuffled"):
        assert resumed[-1].results[ZERO_SHOT][name] == whole[-1].results[ZERO_SHOT][name]
    assert "partial" not in resumed[-1].verdict
    assert len(saved.read_bytes().splitlines()) == 1 + count
    started(run)
    assert len(asked) == 1 + count
    tinylm.write_gpt2(tmp_path, n_positions=96, seed=8)
    Path(workshop["model"], "model.safetensors").rename(tmp_path / "kept")
    (tmp_path / "model.safetensors").rename(Path(workshop["model"], "model.safetensors"))
    changed = started(run)
    (tmp_path / "kept").rename(Path(workshop["model"], "model.safetensors"))
    assert len(asked) == 1 + count + count  # of another model nothing is taken over
    assert only(ItemJudged, changed)[0].scores != only(ItemJudged, whole)[0].scores


def test_figures_of_several_seeds_are_their_mean() -> None:
    rng = np.random.default_rng(6)
    items = [Item("?", ("a", "b", "c"), int(gold)) for gold in rng.integers(0, 3, 80)]
    gold = np.array([one.gold for one in items])
    seeds = [rng.normal(size=(80, 3)) + 2 * np.eye(3)[gold] for _ in range(3)]
    hidden = [rng.normal(size=(80, 3)) for _ in range(3)]
    found = choose_report.of_controls(choose_report.Controls(seeds=seeds, hidden=hidden), seeds[0], items, 1)
    each = [float((one.argmax(1) == gold).mean()) for one in seeds]
    assert found["seeds"] == pytest.approx(each, abs=1e-6)
    assert found["accuracy"] == pytest.approx(sum(each) / 3, abs=1e-6)
    mean = sum(each) / 3
    assert found["spread"] == pytest.approx((sum((one - mean) ** 2 for one in each) / 2) ** 0.5, abs=1e-6)
    drawn = []
    for _ in range(2000):
        rows = rng.integers(0, 80, 80)
        drawn.append(np.mean([one[rows].argmax(1) == gold[rows] for one in seeds]))
    assert found["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.02)
    alone = [float((one.argmax(1) == gold).mean()) for one in hidden]
    assert found["question_hidden"]["accuracy"] == pytest.approx(sum(alone) / 3, abs=1e-6)
    assert found["question_hidden"]["p"] < 0.01
    assert found["p_chance"] == pytest.approx(statistics.above(round(mean * 80), 80, 1 / 3))
