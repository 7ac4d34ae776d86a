"""What of the Classify pane needs no screen: its state, its figures, its drawings, and what it remembers."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from classifying import CLASSES, GOLD, GUESSES, findings, loaded, report, told
from pseudoterminal import PROJECT
from rich.text import Text
from sklearn.metrics import confusion_matrix
from stage import CONTROLS, HOSTILE, SIZES
from textual.strip import Strip

from checkpoints import store
from data import tables
from engine.classify import runs as classify_runs
from engine.classify import task as classify_task
from engine.classify.results import ClassifyResults
from engine.classify.spec import ClassifySpec
from engine.comparison import statistics
from engine.comparison.results import TUNED
from engine.comparison.statistics import report_from
from engine.runs.events import (
    Classified,
    ContenderDone,
    ContenderStep,
    EncodingDone,
    Event,
    Finished,
    Notice,
)
from engine.runs.spec import BadSpec, spelled
from tui.choose import views as choose_views
from tui.classify import figures, form, overview, pages
from tui.classify.form import ClassifyForm
from tui.classify.runs import Classifications, Findings
from tui.classify.sentence import Judgement, sentence
from tui.classify.story import ClassifyStory
from tui.classify.views import NAMES, VIEWS, WORDS, ViewState
from tui.follow import last_values
from tui.follow.headline import Words, head, notice, tabs
from tui.retrieve import views as retrieve_views
from tui.widgets.styled import bar, fit, shortened, window

VALUES = spelled(ClassifySpec(curve=True, suspects=True))
"""what the form shows at first"""


def folded(events: list[Event]) -> ClassifyStory:
    """The state after these events."""
    story = ClassifyStory()
    for event in events:
        story.fold(event)
    return story


def text_of(strips: list[Strip]) -> str:
    return "\n".join(strip.text for strip in strips)


# -- state -----------------------------------------------------------------------------------------------------------


def test_routes_have_their_figures_as_soon_as_they_are_done() -> None:
    story = ClassifyStory()
    seen = []
    for event in told():
        story.fold(event)
        seen.append([method.name for method in story.done])
    assert seen[0] == []
    assert seen[-1] == list(GUESSES)
    assert story.best is not None
    assert story.best.name == "tfidf"
    assert story.verdict.startswith("Counting words")


def test_the_losses_of_the_mlp_become_a_curve_with_its_best_epoch() -> None:
    method = folded(told()).methods["mlp"]
    assert [(bucket.first, bucket.low) for bucket in method.curve.train.buckets] == [
        (n, pytest.approx(1.5 - n / 5)) for n in range(1, 6)
    ]
    assert method.curve.best is not None
    assert (method.curve.best.step, method.curve.best.val_loss) == (5, pytest.approx(1.6 - 5 / 6))


def test_an_epoch_of_fine_tuning_that_only_looks_at_validation_is_no_training_loss() -> None:
    story = folded([loaded(), ContenderStep("finetune", 10, 100, 0.9, None, None, 5.0)])
    story.fold(ContenderStep("finetune", 20, 100, 0.7, 0.7, 0.8, 4.0, "epoch 1 of 4"))
    curve = story.methods["finetune"].curve
    assert [(bucket.first, bucket.low) for bucket in curve.train.buckets] == [(10, 0.9)]
    assert [(point.step, point.val_loss) for point in curve.evaluations] == [(20, 0.7)]


def test_a_new_start_of_a_stopped_run_tells_its_routes_afresh() -> None:
    story = folded([*told(), loaded()])
    assert story.finished is None
    assert story.done == []
    assert story.points == []


def test_damaged_figures_in_a_journal_are_passed_over() -> None:
    bad = report("lr")
    del bad["confusion"]
    story = folded(
        [loaded(), ContenderDone("lr", bad), ContenderDone("mlp", {"accuracy": "?"}), ContenderDone("x", {})]
    )
    assert story.done == []
    story.fold(Classified("done", 1, None, "run", 1.0, {"lr": {"accuracy": 0.5}, "mlp": 3}))  # type: ignore[dict-item]
    assert story.done == []


def test_what_was_said_about_a_running_classification_goes_when_it_ends() -> None:
    story = folded([loaded(), Notice("from the engine"), Notice("it is running", "warning", "screen")])
    story.fold(Finished("stopped", 1, None, "run"))
    assert [notice.text for notice in story.notices] == ["from the engine"]


def test_encoding_has_a_line_of_its_own_below_the_methods() -> None:
    events = [*told()[:2], EncodingDone(f"bert {HOSTILE}", 320, 12, 12.34), *told()[2:]]
    lines = text_of(overview.overview(folded(events), None, "lr", ViewState(), 120, 30)).splitlines()
    (line,) = [number for number, text in enumerate(lines) if "encoding (bert " in text]
    assert "12.3 s, 320 texts, 12 of them truncated" in lines[line]
    assert "MLP" in lines[line - 1]
    assert not CONTROLS.findall(lines[line])
    unknown = folded([loaded(), EncodingDone("minilm", 320, None, None), *told()[2:]])
    shown = text_of(overview.overview(unknown, None, "lr", ViewState(), 120, 30))
    assert "encoding (minilm): time not measured, 320 texts  " in shown
    assert "encoding" not in text_of(
        overview.overview(folded([*events, *told()[:1]]), None, "lr", ViewState(), 120, 30)
    )


def test_several_seeds_have_a_column_and_their_test_is_not_mcnemars() -> None:
    shown = text_of(overview.overview(folded(told()), findings(), "mlp", ViewState(), 140, 30))
    assert "seeds" not in shown
    assert "McNemar" in shown
    seeds = {"seeds": [0.8, 0.7, 0.9], "spread": 0.1}
    events = [*told()[:-1], ContenderDone("mlp", {**report("mlp"), **seeds}), told()[-1]]
    shown = text_of(overview.overview(folded(events), findings(), "mlp", ViewState(), 140, 30))
    (line,) = [text for text in shown.splitlines() if "±" in text]
    assert "MLP" in line
    assert "3, ±0.100" in line
    assert "McNemar" not in shown
    assert "rows classified correctly more often by one" in shown


# -- figures ---------------------------------------------------------------------------------------------------------


def test_every_row_is_in_its_cell_of_the_matrix_and_the_surest_mistake_comes_first() -> None:
    rng = np.random.default_rng(3)
    given = rng.dirichlet([1, 1, 1], size=200)
    gold = rng.integers(0, 3, 200).tolist()
    texts = tuple(map(str, range(200)))
    found = ClassifyResults(CLASSES, texts, tuple(gold), {}, {"lr": given}, {}, (), {})
    expected = confusion_matrix(gold, given.argmax(1))
    for true in range(3):
        for predicted in range(3):
            rows = found.cell("lr", true, predicted)
            assert len(rows) == expected[true, predicted]
            shown = [given[row, predicted] for row in rows]
            assert shown == sorted(shown, reverse=true != predicted)
            assert all(gold[row] == true and given[row].argmax() == predicted for row in rows)


def test_mcnemar_counts_each_pair_from_both_sides() -> None:
    pairs = findings().pairs
    assert len(pairs) == len(GUESSES) * (len(GUESSES) - 1)
    for (one, two), found in pairs.items():
        right = [[guess == gold for guess, gold in zip(GUESSES[method], GOLD, strict=True)] for method in (one, two)]
        assert found.better == sum(a and not b for a, b in zip(*right, strict=True))
        assert found.worse == pairs[two, one].better
        assert found.p == pairs[two, one].p


# -- drawings --------------------------------------------------------------------------------------------------------


def views(story: ClassifyStory, found: Findings | None, width: int, height: int) -> dict[str, list[Strip]]:
    """Every view at one size."""
    state = ViewState(true=1, predicted=2)
    methods = {method.name: method.report for method in story.done if method.report is not None}
    drawn = {
        "overview": overview.overview(story, found, "lr", state, width, height),
        "suspects": pages.suspects(found, state, width, height),
        "labels": figures.labels(story, width, height),
        "head": [head(story, WORDS, "run", "running", width)],
        "notice": [notice(story, width)],
    }
    for view, _, _ in VIEWS:
        drawn[f"tabs-{view}"] = [tabs(WORDS, view, width, "r", NAMES["lr"])]
    if "lr" in methods:
        drawn["matrix"] = pages.matrix(methods["lr"], found, "lr", state, width, height)
        drawn["classes"] = pages.classes(methods["lr"], "lr", state, width, height)
        drawn["calibration"] = figures.calibration(methods["lr"], "lr", width, height)
    return drawn


@pytest.mark.parametrize("size", [SIZES[0], SIZES[3], (58, 4), (200, 1), (31, 9)])
@pytest.mark.parametrize("count", [0, 2, 7, 14])
def test_every_view_fits_whatever_room_there_is_at_every_moment(size: tuple[int, int], count: int) -> None:
    events = told()
    for found in (None, findings()):
        for name, strips in views(folded(events[: 1 + count]), found, *size).items():
            assert len(strips) <= size[1], name
            assert {strip.cell_length for strip in strips} <= {size[0]}, name


@pytest.mark.parametrize("size", SIZES)
def test_names_and_texts_that_want_to_act_on_the_terminal_are_made_visible(size: tuple[int, int]) -> None:
    hostile = (HOSTILE, "漢字" * 20, "delivery")
    story = folded([loaded(hostile, HOSTILE), Notice(HOSTILE, "warning"), *told(classes=hostile)[1:]])
    drawn = views(story, findings(hostile, (HOSTILE,) * len(GOLD)), *size)
    judged = Judgement(HOSTILE, hostile, {"lr": [0.5, 0.3, 0.2]}, ((HOSTILE, 0.5),), "lr")
    drawn["sentence"] = sentence(judged, HOSTILE, "lr", True, "", *size)
    for name, strips in drawn.items():
        assert not CONTROLS.findall(text_of(strips).replace("\n", "")), name
        assert {strip.cell_length for strip in strips} <= {size[0]}, name


def test_the_comparison_tells_figures_intervals_costs_and_who_differs_by_chance() -> None:
    shown = text_of(overview.overview(folded(told()), findings(), "lr", ViewState(), 118, 34))
    mine = report_from(report("lr"))
    for figure in (mine.accuracy, mine.macro_f1, mine.log_loss, mine.calibration_error, *mine.interval):
        assert f"{figure:.3f}" in shown
    assert "settings of lr" in shown
    assert "0:2" in shown  # the rows that only logistic regression, and only TF-IDF has right
    assert "could be chance" in shown
    assert "no leaks" in shown
    assert "2 rows left out" in shown


def test_the_matrix_shows_the_chosen_cell_its_texts_and_the_leak() -> None:
    story = folded(told())
    known = story.methods["lr"].report
    assert known is not None
    shown = text_of(pages.matrix(known, findings(), "lr", ViewState(true=0, predicted=0), 118, 34))
    assert "billing correct: 2 of 3" in shown
    assert "row 0 of the test split" in shown
    assert "also in train" in shown
    wrong = text_of(pages.matrix(known, findings(), "lr", ViewState(true=0, predicted=1), 118, 34))
    assert "billing as delivery: 1 of 3" in wrong
    assert "row 2 of the test split" in wrong


def test_many_classes_are_shown_around_the_chosen_cell() -> None:
    names = tuple(f"class{number}" for number in range(60))
    gold = list(range(60))
    from engine.comparison import statistics

    made = statistics.evaluate(np.eye(60) * 0.5 + 0.5 / 60, gold, names)
    shown = text_of(pages.matrix(made, None, "lr", ViewState(true=55, predicted=58), 78, 20))
    assert "class55" in shown
    assert "clas…" in shown or "class58" in shown
    assert "of 60" in shown


def test_small_parts_keep_their_width() -> None:
    rng = random.Random(2)
    for _ in range(200):
        cells = rng.randrange(1, 30)
        assert len(bar(rng.uniform(-0.5, 1.5), cells)) == cells
        count, height = rng.randrange(1, 50), rng.randrange(1, 20)
        cursor = rng.randrange(count)
        shown = window(count, cursor, height)
        assert cursor in shown
        assert len(shown) == min(count, height)
    assert fit("漢字漢字", 5) in ("漢字…", "漢… ")


def test_opening_the_pane_waits_for_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "sklearn", "scipy", "datasets", "pyarrow", "plotext", "numpy")
    told = f"import sys, tui.classify.pane; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert run.stdout.strip() == "[]"


# -- what is asked for -----------------------------------------------------------------------------------------------


def test_the_form_begins_with_what_was_asked_for_last() -> None:
    assert ClassifyForm().values() == VALUES
    last_values.write("classify.json", {"heads": "lr finetune", "limit": "50", "text_column": "auto"})
    form = ClassifyForm()
    assert form.values() == {**VALUES, "heads": "lr finetune", "limit": "50"}
    assert form.spec() == ClassifySpec(heads=("lr", "finetune"), limit=50, curve=True, suspects=True)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"data": 3, "pooling": "none", "heads": "x lr"}'])
def test_a_damaged_memory_of_the_form_is_passed_over(content: bytes, tmp_path: Path) -> None:
    last_values.write("classify.json", {})
    (tmp_path / "home" / "classify.json").write_bytes(content)
    values = ClassifyForm().values()
    assert {**values, "heads": ""} == {**VALUES, "heads": ""}
    assert values["heads"] in ("lr mlp", "lr")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {
        "data": "/nowhere/at all.csv",
        "test": "/nowhere",
        "encoder": " ",
        "heads": "",
        "limit": "-3",
        "seed": "³",
    }
    last_values.write("classify.json", wrong)
    with pytest.raises(BadSpec) as caught:
        ClassifyForm().spec()
    assert [one.field for one in caught.value.problems] == ["data", "test", "encoder", "heads", "limit", "seed"]


def test_the_form_looks_at_the_other_bundled_data_set() -> None:
    seen = ClassifyForm.read({**VALUES, "data": "feelings"})
    assert (seen.source, seen.problem) == ("bundled with the program · UTF-8", "")
    assert seen.sizes == (("train", 298), ("validation", 60), ("test", 90))


def test_a_look_at_a_table_finds_columns_checks_and_repairs(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    rows = "".join(f"{number},the parcel {number} is late,{'ab'[number % 2]}\n" for number in range(40))
    file.write_text(f"id,words,kind\n{rows}")
    seen = ClassifyForm.read({**VALUES, "data": str(file)})
    assert seen.columns == ("id", "words", "kind")
    assert "text and label" in seen.problem
    named = {**VALUES, "data": str(file), "text_column": "words", "label_column": "kind"}
    seen = ClassifyForm.read(named)
    assert seen.problem == ""
    assert seen.rows[0] == ("a", "the parcel 0 is late")
    assert dict(seen.sizes)["train"] + dict(seen.sizes)["validation"] + dict(seen.sizes)["test"] == 40
    assert any("2 classes" in line for line in seen.checks)
    assert any("set aside" in line for line in seen.repairs)
    assert "no column" in ClassifyForm.read({**named, "text_column": "gone"}).problem


def test_a_look_shows_the_encoding_and_what_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.csv"
    rows = "".join(f"{number};caffè {number};{number % 2};{number}\n" for number in range(40))
    file.write_bytes(f";text;label;when\n{rows}".encode("cp1252"))
    values = {**VALUES, "data": str(file), "label_names": "no, yes"}
    seen = ClassifyForm.read(values)
    assert seen.source == f"{file} · cp1252"
    assert seen.columns == ("text", "label", "when")
    assert {"not used: the column 'when'", "not used: the column without a name, which numbers the rows"} < {
        *seen.repairs
    }
    assert seen.checks[0] == "2 classes, balanced in train: no 50%, yes 50%"
    assert "3 names for 2 labels" in ClassifyForm.read({**values, "label_names": "a,b,c"}).problem
    assert "not an encoding" in ClassifyForm.read({**values, "encoding": "utf-9"}).problem
    assert ClassifyForm.read({**values, "encoding": "cp1250"}).rows[0] == ("0", "caffč 0")
    # A large file is not read whole for a look, and what is not used is shown all the same.
    monkeypatch.setattr(form, "LARGE", 100)
    monkeypatch.setattr(tables, "load", None)
    seen = ClassifyForm.read(values)
    assert (seen.sizes, seen.problem, seen.rows[0]) == ((), "", ("0", "caffè 0"))
    assert "not used: the column 'when'" in seen.repairs
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    file.rename(folder / "train.csv")
    assert "checked when the run starts" in ClassifyForm.read({**values, "data": str(folder.parent)}).note


def test_the_hub_is_not_asked_while_a_name_is_typed() -> None:
    seen = ClassifyForm.read({**VALUES, "data": "owner/name"})
    assert seen.problem == ""
    assert "Enter" in seen.note
    assert json.dumps(seen.columns) == "[]"


def test_a_fine_tuned_model_is_exported_beside_nothing_of_others(tmp_path: Path) -> None:
    run = classify_runs.create(classify_task.ClassifySpec())
    tuned = run.path / TUNED
    tuned.mkdir()
    for name in ("config.json", "model.safetensors"):
        (tuned / name).write_text(name)
        (tuned / name).chmod(0o600)
    task_runs, theirs = Classifications(), tmp_path / "theirs"
    for _ in range(2):  # the same run again
        assert task_runs.export(run, tmp_path / "ours").endswith(f"exported to {tmp_path / 'ours'}")
    (tmp_path / "usual").touch()
    for file in (tmp_path / "ours").iterdir():
        assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode
    theirs.mkdir()
    (theirs / "config.json").write_text("other")
    with pytest.raises(store.CheckpointError, match=f"holds no export of {run.name}"):
        task_runs.export(run, theirs)
    assert [file.read_text() for file in theirs.iterdir()] == ["other"]


@pytest.mark.parametrize("words", [WORDS, choose_views.WORDS, retrieve_views.WORDS])
@pytest.mark.parametrize("width", [120, 80, 60])
def test_every_tab_is_there_at_every_width_with_its_name_or_the_beginning_of_it(words: Words, width: int) -> None:
    line = tabs(words, words.views[-1][0], width).text
    assert len(line) == width
    for _, letter, title in words.views:
        found = re.search(rf" {letter} (\w[\w ]*?…?) (?: |$)", line)
        assert found is not None, (line, title)
        assert found[1] == title or (found[1].endswith("…") and title.startswith(found[1][:-1]) and len(found[1]) > 2)
        assert width == 60 or found[1] == title


def test_methods_with_the_same_rows_right_are_equal_and_others_could_be_chance() -> None:
    found, story = findings(), folded(told())
    equal = {method: np.equal(GUESSES["lr"], GOLD) for method in GUESSES}
    same = replace(found, pairs=statistics.paired_tests(equal))
    lines = {line.plain.split("  ")[1].strip(): line.plain for line in overview.differences(story, same, "lr", 90)[1:]}
    assert lines["MLP"].rstrip().endswith("= equal")
    lines = {line.plain.split("  ")[1].strip(): line.plain for line in overview.differences(story, found, "lr", 90)[1:]}
    assert lines["TF-IDF + LR"].rstrip().endswith("could be chance")


def test_a_text_that_goes_on_ends_with_an_ellipsis() -> None:
    lines = [Text(word) for word in ("one", "two two", "three")]
    assert [line.text.rstrip() for line in shortened(lines, 7, 3)] == ["one", "two two", "three"]
    assert [line.text.rstrip() for line in shortened(lines, 7, 2)] == ["one", "two t …"]
    assert shortened(lines, 7, 0) == []
    assert [line.plain for line in lines] == ["one", "two two", "three"]


@pytest.mark.parametrize("width", [40, 120])
def test_a_notice_that_the_last_line_shows_whole_is_not_repeated(width: int) -> None:
    story = folded([loaded(), ContenderDone("lr", report("lr")), Notice("some " * 12 + "end", "info", "encoder")])
    drawn = overview.overview(story, None, "lr", ViewState(), width, 60)
    assert any(line.text.rstrip().endswith("end") for line in drawn) == (width == 40)


def test_what_an_empty_view_says_is_wrapped_once() -> None:
    lines = [line.text.strip() for line in pages.suspects(None, ViewState(), 80, 12)]
    told = [line for line in lines if line]
    assert told[0] == "No suspicious labels yet."
    for line, following in itertools.pairwise(told[1:]):
        assert len(line) + 1 + len(following.split()[0]) > 76  # the next word would not have fitted
