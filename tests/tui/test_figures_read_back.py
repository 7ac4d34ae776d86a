"""Figures, marks and places read back out of drawn views, against numbers that are worked out here anew."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from classifying import CLASSES, GOLD, GUESSES, TEXTS, findings, loaded, probabilities, report
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score
from textual.app import App
from textual.strip import Strip

from data.choices import Item
from engine.comparison import statistics
from engine.comparison.statistics import report_from
from engine.encoders.plane import plane
from engine.retrieve.metrics import Ranked
from engine.runs.events import ContenderDone, ContenderStep, ItemJudged, Loaded, Notice, Progress
from tui.choose.own import Own
from tui.choose.questions import card, questions
from tui.choose.story import ChooseStory, Listing
from tui.choose.views import ViewState as ChooseState
from tui.classify import map as classify_map
from tui.classify import overview, pages
from tui.classify.pane import ClassifyPane
from tui.classify.story import ClassifyStory
from tui.classify.views import ViewState as ClassifyState
from tui.follow.scatter import Mapped, scatter, step
from tui.retrieve import map as retrieve_map
from tui.retrieve.columns import columns, document
from tui.retrieve.figures import figures, gain_lines
from tui.retrieve.pane import RetrievePane
from tui.retrieve.runs import Gain, Gains
from tui.retrieve.searching import Answer
from tui.retrieve.story import RetrieveStory
from tui.retrieve.views import ViewState as RetrieveState
from tui.widgets.panel import Frame
from tui.widgets.styled import SERIES

DOCUMENTS = [(f"title{row}", f"body of document {row} with a drill bit") for row in range(8)]
RANKINGS = {"bm25": (3, 1, 4, 0, 5), "mean": (1, 3, 6, 4, 0), "trained": (4, 3, 2, 1, 5)}


def lines_of(strips: list[Strip]) -> list[str]:
    return [strip.text.rstrip() for strip in strips]


def styled(strip: Strip, style: str) -> str:
    """What stands in a line in a style."""
    return "".join(part.text for part in strip if part.style is not None and style in str(part.style))


# -- Retrieve --------------------------------------------------------------------------------------------------------


def answer(**changes: Any) -> Answer:
    found = {method: Ranked(rows, tuple(range(len(rows), 0, -1))) for method, rows in RANKINGS.items()}
    given = {"known": "test query q1", "terms": ("drill",), "relevant": frozenset({1, 4}), **changes}
    return Answer("drill", found, **given)


def columns_read(width: int = 120) -> list[list[tuple[int, bool, str, str]]]:
    """Rank, whether relevant, title and arrow of every row of the three columns."""
    drawn = lines_of(columns(answer(), RetrieveState(), DOCUMENTS.__getitem__, {}, "", width, 10))
    each = width // 3
    found: list[list[tuple[int, bool, str, str]]] = [[], [], []]
    for line in drawn[2:]:
        for place in range(3):
            part = line[place * each : (place + 1) * each if place < 2 else None]
            if row := re.search(r"(\d+) ([● ]) (title\d+)\s*([▲▼]\d+|=|new)?", part):
                found[place].append((int(row[1]), row[2] == "●", row[3], row[4] or ""))
    return found


@pytest.mark.parametrize("width", [80, 120])
def test_columns_show_ranks_relevant_documents_and_moves_against_bm25(width: int) -> None:
    for read, (method, rows) in zip(columns_read(width), RANKINGS.items(), strict=True):
        assert [rank for rank, *_ in read] == [1, 2, 3, 4, 5]
        assert [title for _, _, title, _ in read] == [f"title{row}" for row in rows]
        assert [relevant for _, relevant, *_ in read] == [row in (1, 4) for row in rows]
        for rank, _, title, arrow in read:
            row = int(title.removeprefix("title"))
            if method == "bm25":
                assert arrow == ""
            elif row not in RANKINGS["bm25"]:
                assert arrow == "new"
            else:
                before = next(place for place, one in enumerate(RANKINGS["bm25"], 1) if one == row)
                up = before - rank  # a smaller rank is a better one
                assert arrow == ("=" if up == 0 else f"▲{up}" if up > 0 else f"▼{-up}")


def test_the_document_tells_its_rank_in_every_column_and_shows_the_words_of_bm25() -> None:
    drawn = document(answer(), RetrieveState(column=1), DOCUMENTS.__getitem__, 100, 12)
    text = "\n".join(lines_of(drawn))
    assert "title1" in text
    assert "● relevant" in text
    assert re.search(r"BM25 2\b.*mean 1\b.*trained 4\b", text)
    assert [styled(line, "bold") for line in drawn if "drill" in line.text] == ["drill"]
    other = "\n".join(lines_of(document(answer(relevant=frozenset()), RetrieveState(), DOCUMENTS.__getitem__, 100, 9)))
    assert "●" not in other


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_document_is_scrolled_to_its_last_word_and_tells_which_lines_are_seen(width: int) -> None:
    words = [f"word{number}" for number in range(400)]
    found, state = Answer("q", {"bm25": Ranked((0,), (1.0,))}), RetrieveState()
    seen, ends = [], []
    for scroll in (0, 8, 16, 10**6):
        state.scroll = scroll
        drawn = "\n".join(lines_of(document(found, state, {0: ("t", " ".join(words))}.__getitem__, width, 12)))
        (told,) = re.findall(r"lines (\d+)–(\d+) of (\d+) · Esc back", drawn)
        first, last, count = map(int, told)
        inside = drawn.splitlines()[1 : -1 if width >= 100 else None]
        assert last - first + 1 == len(inside)
        assert first == 1 or all("word" in line for line in inside)
        ends.append((first, last, count))
        seen.append(re.findall(r"word\d+", drawn))
    assert [first for first, _, _ in ends[:3]] == [1, 9, 17]
    assert seen[0] == words[: len(seen[0])]
    assert seen[3] == words[-len(seen[3]) :]
    assert ends[3][1] == ends[3][2]
    assert seen[0][-1] in seen[1]


def test_terms_are_found_as_words_or_within_scripts_without_spaces() -> None:
    text = [("t", "Drilling a DRILL-bit, drill_bit; c++ and 東京都の")]
    found = Answer("q", {"bm25": Ranked((0,), (1.0,))}, terms=("drill", "京都"))
    drawn = document(found, RetrieveState(), text.__getitem__, 100, 8)
    (line,) = [line for line in drawn if "Drilling" in line.text]
    assert styled(line, "bold") == "DRILL京都"


def gains() -> Gains:
    rng = np.random.default_rng(4)
    values = rng.choice([0.0, 0.25, 0.5, 0.63, 1.0], size=(9, 2))
    return Gains(
        Gain(f"q{n}", f"query {n}", {"bm25": float(a), "trained": float(b)}) for n, (a, b) in enumerate(values)
    )


def test_gains_are_sorted_counted_and_drawn_to_their_side() -> None:
    found, story, state = gains(), RetrieveStory(), RetrieveState(view="gains")
    drawn = lines_of(gain_lines(story, found, state, 120, 16))
    rows = [re.search(r"(█*|▐█*)│(█*)\s+([+-]\d\.\d\d)\s+(\d\.\d\d)\s+(\d\.\d\d)\s+query (\d)", line) for line in drawn]
    read = [row for row in rows if row is not None]
    by_name = {int(one.name[1:]): one.values for one in found}
    assert len(read) == len(found)
    gaps = []
    for row in read:
        own = by_name[int(row[6])]
        assert (float(row[4]), float(row[5])) == (own["bm25"], own["trained"])
        gaps.append(own["trained"] - own["bm25"])
        assert float(row[3]) == pytest.approx(gaps[-1], abs=0.0051)
        assert (bool(row[1]), bool(row[2])) == (gaps[-1] < 0, gaps[-1] > 0)
        assert len(row[1] or row[2]) == round(9 * abs(gaps[-1]))
    assert gaps == sorted(gaps, reverse=True)
    better, worse = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    assert better != worse
    assert f"{better} better · {worse} worse · {9 - better - worse} equal" in drawn[-1]
    assert f"mean {sum(gaps) / 9:+.3f}" in "\n".join(drawn)


def test_another_pair_of_the_same_gains_has_the_other_sign() -> None:
    found = gains()
    one, other = found.between("trained", "bm25"), found.between("bm25", "trained")
    assert (one.better, one.worse) == (other.worse, other.better)
    assert sorted(one.gaps) == sorted(-gap for gap in other.gaps)


def test_a_query_among_many_is_sorted_once() -> None:
    """The list is drawn with every key; what it is sorted by was read before, in the thread that made it."""
    reads = 0

    class Counted(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            nonlocal reads
            reads += 1
            return super().__getitem__(name)

    found = Gains(Gain(f"q{n}", "text", Counted(bm25=n % 7 / 7, trained=0.5)) for n in range(20_000))
    state = RetrieveState(view="gains")
    reads = 0
    for _ in range(5):
        state.row += 1
        gain_lines(RetrieveStory(), found, state, 120, 30)
    assert reads < 5 * 30 * 10


# -- intervals and tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120, 200])
def test_intervals_stand_under_the_ticks_of_their_axis(width: int) -> None:
    story = ClassifyStory()
    story.fold(loaded())
    for method, (low, middle, high) in {"tfidf": (0.4, 0.6, 0.8), "lr": (0.2, 0.4, 0.6)}.items():
        story.fold(ContenderDone(method, {**report(method), "accuracy": middle, "interval": [low, high]}))
    drawn = [strip.text for strip in overview.overview(story, None, "lr", ClassifyState(), width, 30)]
    head = next(line for line in drawn if "accuracy" in line)
    ticks = {round(float(found[0]), 1): found.start() + 1 for found in re.finditer(r"(?<!\S)\d\.\d(?=\s|│|$)", head)}
    assert {0.2, 0.4, 0.6, 0.8} & set(ticks)
    for name, (low, middle, high) in {"TF-IDF": (0.4, 0.6, 0.8), "logistic": (0.2, 0.4, 0.6)}.items():
        line = next(line for line in drawn if name in line and "├" in line)
        for mark, value in (("├", low), ("●", middle), ("┤", high)):
            if value in ticks:
                assert line.index(mark) == ticks[value], (name, mark)
        assert f"{low:.3f}–{high:.3f}" in line


def test_the_table_marks_the_best_and_says_what_a_star_means() -> None:
    story = ChooseStory()
    story.fold(Loaded("choose", "d", "s", 9, 3, 12, "test", "f", ("chance", "margin", "finetune"), (), ()))
    story.fold(Progress("scoring chance", 0, 0))
    for name, accuracy in (("margin", 0.7), ("finetune", 0.5)):
        story.fold(ContenderDone(name, {"accuracy": accuracy, "interval": [0.4, 0.8], "items": 12}))
    assert story.progress is None  # it was that of a method which is done
    from tui.choose.overview import overview as choose_overview

    def drawn() -> str:
        return "\n".join(lines_of(choose_overview(story, "finetune", ChooseState(), 120, 30)))

    assert re.search(r"margin ranker +0\.700✓", drawn())
    assert not re.search(r"fine-tuned +0\.500✓", drawn())
    assert "judged so far" not in drawn()
    story.fold(ContenderDone("margin", {"accuracy": 0.7, "interval": [0.4, 0.8], "judged": 5, "of": 12}))
    assert "0.700*" in drawn()
    assert "* on the items evaluated so far" in drawn()


# -- Classify --------------------------------------------------------------------------------------------------------


def told() -> ClassifyStory:
    story = ClassifyStory()
    for event in [loaded(), *(ContenderDone(method, report(method)) for method in GUESSES)]:
        story.fold(event)
    return story


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("method", ["lr", "mlp", "majority"])
def test_the_matrix_holds_the_counts_of_scikit_learn_in_their_cells(method: str, width: int) -> None:
    expected = confusion_matrix(GOLD, GUESSES[method])
    state = ClassifyState()
    drawn = lines_of(pages.matrix(report_from(report(method)), findings(), method, state, width, 30))
    head = next(line for line in drawn if "billing" in line and "delivery" in line and " as " not in line)
    ends = [head.index(name) + len(name) for name in CLASSES]
    for true, name in enumerate(CLASSES):
        line = next(line for line in drawn if re.match(rf"(│ | ){name} ", line))
        read = [line[end - 5 : end].strip(" ░▒▓█").replace("·", "0") for end in ends]
        assert list(map(int, read)) == expected[true].tolist()
    wrong = expected - np.diag(np.diag(expected))
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    assert (state.true, state.predicted) == (true, predicted)  # it starts on the largest confusion
    text = "\n".join(drawn)
    assert f"{CLASSES[true]} as {CLASSES[predicted]}: {wrong.max()} of {GOLD.count(true)}"[:24] in text


def test_texts_of_a_cell_are_sorted_by_the_probability_that_stands_beside_them() -> None:
    shares = probabilities(GUESSES["majority"])
    for true, predicted, falling in ((0, 2, True), (2, 2, False)):
        state = ClassifyState(true=true, predicted=predicted)
        drawn = lines_of(pages.matrix(report_from(report("majority")), findings(), "majority", state, 120, 30))
        read = [(int(row[1]), row[2]) for line in drawn if (row := re.search(r"(\d+)% (row \d+ of the test)", line))]
        rows = [row for row in range(10) if GOLD[row] == true]
        wanted = sorted(rows, key=lambda row: shares[row][predicted], reverse=falling)
        assert read == [(round(100 * shares[row][predicted]), f"row {row} of the test") for row in wanted]
        assert ("most" if falling else "least") + " confident first" in "\n".join(drawn)


def test_classes_show_precision_recall_and_f1_of_scikit_learn() -> None:
    drawn = lines_of(pages.classes(report_from(report("lr")), "lr", ClassifyState(), 120, 30))
    measures = [one(GOLD, GUESSES["lr"], average=None) for one in (precision_score, recall_score, f1_score)]
    for label, name in enumerate(CLASSES):
        line = next(line for line in drawn if re.search(rf"[▌ ] {name} ", line))
        assert [float(number) for number in re.findall(r"\d\.\d{3}", line)] == [
            pytest.approx(one[label], abs=0.0006) for one in measures
        ]
        assert line.rstrip("│ ").endswith(f" {GOLD.count(label)}")


def test_differences_count_the_rows_that_only_one_has_right_and_name_the_better() -> None:
    rng = np.random.default_rng(5)
    right = {"majority": rng.random(400) < 0.3, "tfidf": rng.random(400) < 0.9, "lr": rng.random(400) < 0.6}
    right["mlp"] = right["lr"].copy()
    found = findings()
    object.__setattr__(found, "pairs", statistics.paired_tests(right))
    drawn = [line.plain for line in overview.differences(told(), found, "lr", 90)]
    for name, other in (("majority class", "majority"), ("TF-IDF + LR", "tfidf"), ("MLP", "mlp")):
        line = next(line for line in drawn if name in line and "against" not in line)
        better = int((right["lr"] & ~right[other]).sum())
        worse = int((~right["lr"] & right[other]).sum())
        assert f"{better}:{worse}" in line
        sign = "=" if better == worse == 0 else "▲ better" if better > worse else "▼ worse"
        assert sign in line


def test_the_p_against_the_best_is_that_of_the_pair() -> None:
    found = findings()
    drawn = lines_of(overview.overview(told(), found, "lr", ClassifyState(), 160, 30))
    for name, method in (("majority class", "majority"), ("MLP", "mlp")):
        line = next(line for line in drawn if re.search(rf"[│▌ ] {re.escape(name)} ", line))
        p = found.pairs["tfidf", method].p  # TF-IDF is the best
        assert f" {p:.3f} " in line or (p < 0.001 and "< 0.001" in line)


# -- Choose ----------------------------------------------------------------------------------------------------------

ITEM = Item("what?", ("red", "green", "blue"), 1)


def softmax(scores: tuple[float, ...]) -> Any:
    raised = np.exp(np.array(scores) - max(scores))
    return raised / raised.sum()


@pytest.mark.parametrize("scores", [(-1.0, 2.0, 0.5), (3.0, 2.9, -7.0)])
def test_the_card_shows_scores_softmax_the_choice_and_the_right_one(scores: tuple[float, ...]) -> None:
    event = ItemJudged("margin", 0, 1, 1, 1, scores, 0.5, 0.4, 0.6)
    drawn = lines_of(card(ITEM, {"margin": event}, "margin", "question", Frame(120), 120, 20))
    best = int(np.argmax(scores))
    for place, choice in enumerate(ITEM.choices):
        line = next(line for line in drawn if f"{'ABC'[place]} {choice}" in line)
        row = re.search(r"([✓ ]) [ABC] \w+\s+([✓✗]?)\s*(-?\d+\.\d\d)\s+(\d+)%", line)
        assert row is not None, line
        assert float(row[3]) == pytest.approx(scores[place], abs=0.0051)
        assert int(row[4]) == pytest.approx(100 * softmax(scores)[place], abs=0.51)
        assert (row[1] == "✓") == (place == ITEM.gold)
        assert row[2] == ("" if place != best else "✓" if best == ITEM.gold else "✗")
    ordered = sorted(scores)
    mark = "✓" if best == ITEM.gold else "✗"
    assert f"margin {mark} {'ABC'[best]}, lead {ordered[-1] - ordered[-2]:.3g}" in "\n".join(drawn)


def test_choices_of_ones_own_show_by_how_many_ranks_they_moved() -> None:
    own, texts = Own(), ("x", "y", "z")
    before, after = (0.9, 0.5, 0.1), (0.2, 0.3, 0.8)
    for question, scores in (("a?", before), ("b?", after)):
        own.answer(Item(question, texts, 0), ItemJudged("margin", -1, 1, 1, 0, scores, 0.0, 0.0, 1.0))
    drawn = lines_of(own.draw(own.item, "margin", ["margin"], "", 120, 20))
    for place, choice in enumerate(texts):
        line = next(line for line in drawn if f"{'ABC'[place]} {choice}" in line)
        up = int(np.argsort(np.argsort(-np.array(before)))[place] - np.argsort(np.argsort(-np.array(after)))[place])
        found = re.search(r"([▲▼])(\d)", line)
        assert (found[0] if found else "") == ("" if up == 0 else f"▲{up}" if up > 0 else f"▼{-up}")


def ranking(count: int, scores: Any = None) -> tuple[ChooseStory, list[Item]]:
    rng = np.random.default_rng(1)
    story = ChooseStory()
    story.fold(Loaded("choose", "d", "s", 9, 3, count, "test", "f", ("margin",), (), ()))
    given = rng.normal(size=(count, 3)) if scores is None else scores
    for number in range(count):
        own = tuple(map(float, given[number])) if scores is None else given[number]
        story.fold(ItemJudged("margin", number, number + 1, count, number % 3, own, 0.5, 0.4, 0.6))
    return story, [Item(f"question {number}", ("a", "b", "c"), number % 3) for number in range(count)]


def listed(story: ChooseStory, state: ChooseState) -> Listing:
    return story.listing("margin", state.kept, state.order).updated()


@pytest.mark.parametrize("order", ["worst first", "closest first", "most confident first"])
def test_lists_of_questions_are_sorted_by_the_figure_that_stands_in_them(order: str) -> None:
    story, items = ranking(20)
    state = ChooseState(order=order)
    drawn = lines_of(questions(story, listed(story, state), items, "margin", state, 120, 30))
    read = []
    for line in drawn:
        if row := re.search(r"([✓✗]) +(-?\d+\.\d\d|\d+%) +question (\d+)", line[:58]):
            event = story.methods["margin"].ranked[int(row[3])]
            others = [score for place, score in enumerate(event.scores) if place != event.gold]
            lead = event.scores[event.gold] - max(others)
            assert (row[1] == "✓") == (lead > 0)
            if order == "most confident first":
                assert int(row[2][:-1]) == pytest.approx(100 * softmax(event.scores).max(), abs=0.51)
                read.append(-softmax(event.scores).max())
            else:
                assert float(row[2]) == pytest.approx(lead, abs=0.0051)
                read.append(lead if order == "worst first" else abs(lead))
    assert len(read) == 20
    assert read == sorted(read)
    right = sum(int(np.argmax(event.scores)) == event.gold for event in story.methods["margin"].ranked.values())
    assert f"{20 - right} wrong · {right} right" in "\n".join(drawn)


def test_a_draw_looks_at_the_scores_of_what_is_seen_and_of_what_is_new() -> None:
    """Not at those of all 20,000 items, which a key or a second of a running method would draw anew."""
    looks = 0

    class Counted(tuple[float, ...]):
        def __iter__(self) -> Any:
            nonlocal looks
            looks += 1
            return super().__iter__()

    count, rng = 20_000, np.random.default_rng(2)
    story, items = ranking(count, [Counted(map(float, row)) for row in rng.normal(size=(count, 3))])
    state = ChooseState()
    questions(story, listed(story, state), items, "margin", state, 120, 30)
    looks = 0
    for _ in range(5):
        state.row += 1
        questions(story, listed(story, state), items, "margin", state, 120, 30)
    assert looks < 5 * 30 * 20
    looks = 0
    story.fold(ItemJudged("margin", 7, count, count, 1, Counted((-9.0, -99.0, 0.0)), 0.5, 0.4, 0.6))  # judged again
    state.row = 0
    drawn = lines_of(questions(story, listed(story, state), items, "margin", state, 120, 30))
    assert looks < 30 * 20
    assert "question 7" in next(line for line in drawn if "▌" in line)
    leads = [item for _, item in sorted(story._listing._rows)]  # type: ignore[union-attr]
    assert len(leads) == len(set(leads)) == count


# -- training and notices --------------------------------------------------------------------------------------------


def test_the_curve_is_that_of_the_search_and_the_second_training_is_told_apart() -> None:
    story = RetrieveStory()
    story.fold(Loaded("retrieve", "d", "s", 9, 0, 8, "test", "f", ("trained",), (), ()))
    for number in range(1, 27):
        story.fold(ContenderStep("trained", number, 60, 1 / number, None, 0.5 if number % 2 else None, 1.0, "epoch"))
    story.fold(ContenderStep("trained", 27, 28, 9.0, None, None, 1.0, "on all train queries"))
    story.fold(ContenderStep("trained", 28, 28, 9.0, None, None, 0.0, "trained on all train queries for 1 epoch"))
    assert story.trained.curve.train.buckets[-1].last.step == 26
    drawn = "\n".join(lines_of(figures(story, RetrieveState(view="figures"), 120, 40)))
    assert "then: trained on all train queries for 1 epoch" in drawn
    axis = next(line for line in drawn.splitlines() if re.search(r"│ +0 +\d+ +", line))
    assert max(map(int, re.findall(r"\d+", axis[58:]))) <= 26
    assert "⣿ training" in drawn


def test_what_was_said_is_read_by_the_next_result() -> None:
    story = ClassifyStory()
    story.fold(loaded())
    story.fold(Notice("the encoder is the bundled MiniLM", "info", "encoder"))
    story.fold(Notice("a file is damaged", "warning", "read"))
    assert len(story.notices) == 2
    story.fold(ContenderDone("lr", report("lr")))
    assert [notice.text for notice in story.notices] == ["a file is damaged"]


# -- maps ------------------------------------------------------------------------------------------------------------


def test_the_plane_is_that_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(50, 6)) * [5, 3, 1, 1, 1, 1]).astype(np.float32)
    found, theirs = plane(vectors), PCA(2, svd_solver="full").fit(vectors)
    assert found.share == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-6)
    assert np.abs(found.points(vectors)) == pytest.approx(np.abs(theirs.transform(vectors)), abs=1e-4)
    assert (found.axes.max(1) == np.abs(found.axes).max(1)).all()  # mirrored, it would be another picture
    assert found.points(vectors[:3]) == pytest.approx(found.points(vectors)[:3])


def test_the_map_marks_classes_and_says_what_the_cursor_is_on() -> None:
    points = [(float(row % 4), float(row // 4)) for row in range(10)]
    state = ClassifyState(view="map")
    drawn = lines_of(classify_map.draw(Mapped(points, 0.5), findings(), "lr", state, 120, 30))
    inside = [line[1:79] for line in drawn[2:-1]]
    for mark, label in zip("●◆▲", range(3), strict=True):
        assert sum(line.count(mark) for line in inside) == GOLD.count(label)
    assert TEXTS[0] in "\n".join(drawn)
    assert "10 texts, 50% of the variance" in drawn[-1]
    state.row = step(points, 0, 1, 0)
    assert state.row == 1
    assert (step(points, 0, 0, 1), step(points, 0, -1, 0), step(points, 5, 0, -1)) == (4, 0, 1)
    assert TEXTS[1] in "\n".join(lines_of(classify_map.draw(Mapped(points, 0.5), findings(), "lr", state, 120, 30)))
    empty = "\n".join(lines_of(classify_map.draw(Mapped((), 0.0), findings(), "lr", state, 80, 19)))
    assert "No stored features of this run." in empty


def test_the_map_of_documents_marks_the_relevant_and_the_first_ranks_and_the_query() -> None:
    places = [retrieve_map.group(row, 8, answer()) for row in range(9)]
    assert places == [1, 2, 0, 1, 2, 0, 1, 0, 3]
    points = [(float(row), float(row % 3)) for row in range(9)]
    state = RetrieveState(view="map", row=8)
    drawn = retrieve_map.draw(Mapped(points, 0.4), 8, answer(), DOCUMENTS.__getitem__, state, 120, 30)
    inside = [line[1:79] for line in lines_of(drawn)[2:-1]]
    assert [sum(line.count(mark) for line in inside) for mark in "◆●✚"] == [3, 2, 1]
    assert re.search(r"│ drill +│", "\n".join(lines_of(drawn)))  # the query is what the cursor is on


@pytest.mark.parametrize("pane", [ClassifyPane, RetrievePane])
async def test_arrows_move_the_cursor_of_a_map_to_where_they_point(pane: type[ClassifyPane | RetrievePane]) -> None:
    async with App().run_test():  # type: ignore[var-annotated]
        made = pane()
        made.view_state.look("map")
        made.mapped = found = Mapped([(0.0, 0.0), (0.0, 4.0), (4.0, 0.0), (0.0, -4.0), (-4.0, 0.0)], 1.0)

        def cursor() -> tuple[int, int]:
            """Column and line of the cell that is drawn as the cursor."""
            group = ("all", "●", SERIES[0])
            drawn = scatter(found, [group], lambda _: 0, lambda *_: ("", ()), made.view_state, 120, 30)
            for y, strip in enumerate(drawn):
                for x in range(strip.cell_length):
                    if any(part.style and "on magenta" in str(part.style) for part in strip.crop(x, x + 1)):
                        return x, y
            raise AssertionError("there is no cursor")

        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            made.view_state.row = 0
            x, y = cursor()
            made.action_walk(down, right)
            moved = cursor()
            assert ((moved[0] > x) - (moved[0] < x), (moved[1] > y) - (moved[1] < y)) == (right, down)
