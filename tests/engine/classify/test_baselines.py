"""TF-IDF: its grid beyond the edges, and characters where a script has no spaces."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from engine.classify import baselines
from engine.classify import results as classify_results
from engine.classify import runs as classify_runs
from engine.classify.contenders import TfIdf
from engine.classify.predict import Classifier
from engine.classify.spec import ClassifySpec
from engine.comparison import heads, scripts
from engine.comparison.contender import Labelled
from engine.runs.events import ContenderStep
from engine.runs.messages import Control

FOOD, TRAVEL = ("面条", "鸡蛋", "米饭", "豆腐"), ("火车", "轮船", "机场", "车站")
FILLER = ("太贵", "不错", "很好", "昨天", "周末", "大家", "喜欢", "我的朋友说")


def chinese(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Sentences without a single space, and their class."""
    rng = random.Random(seed)
    made, labels = [], []
    for row in range(count):
        words = [rng.choice((FOOD, TRAVEL)[row % 2]), *rng.choices(FILLER, k=rng.randint(3, 6))]
        rng.shuffle(words)
        made.append("".join(words) + str(row))
        labels.append(row % 2)
    return made, labels


def loss_of(penalty: float, train: Any, validation: Any) -> float:
    """Validation loss by scikit-learn, solved at once."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=penalty, max_iter=2000, tol=1e-6)).fit(*train)
    return float(log_loss(validation[1], model.predict_proba(validation[0])))


@pytest.mark.parametrize("noise", [0.0, 0.42])
def test_the_grid_goes_on_while_its_edge_is_chosen(noise: float) -> None:
    rng = random.Random(4)

    def some(count: int, seed: int) -> tuple[list[str], list[int]]:
        texts, labels = tiny.texts(count, 2, seed)
        texts = [text.rpartition(" ")[0] for text in texts]  # without their numbers
        return texts, [1 - label if rng.random() < noise else label for label in labels]

    train, validation = some(160, 1), some(160, 2)
    splits: Any = (Labelled("train", *train), Labelled("validation", *validation), None)
    told, fitted = tiny.finish(TfIdf(2, class_weights=False).fit(*splits, Control()))
    chosen = float(fitted.facts.settings.rpartition("C = ")[2])
    tried = [event for event in told if isinstance(event, ContenderStep) and event.held_out_loss is not None]
    values = [float(event.note.removeprefix("C = ")) for event in tried]
    losses = {penalty: loss_of(penalty, train, validation) for penalty in values}
    assert [event.held_out_loss for event in tried] == pytest.approx([losses[value] for value in values], abs=5e-3)
    assert min(values) < chosen
    assert chosen < max(values) or max(values) == heads.WIDEST[1]
    if noise:
        assert chosen < min(baselines.GRID)
    else:
        assert chosen > max(baselines.GRID)
    assert losses[chosen] < min(losses[edge] for edge in (baselines.GRID[0], baselines.GRID[-1]) if edge in losses)


def test_a_grid_whose_middle_is_chosen_is_not_widened_and_widening_ends() -> None:
    assert heads._beyond([0.3, 1.0, 3.0], 1.0) == []
    assert heads._beyond([0.3, 1.0, 3.0], 3.0) == [10.0]
    assert heads._beyond([0.3, 1.0, 3.0], 0.3) == [0.1]
    upper = lower = [0.3, 1.0]
    while more := heads._beyond(upper, max(upper)):
        upper = upper + more
    while more := heads._beyond(lower, min(lower)):
        lower = lower + more
    assert (min(lower), max(upper)) == (1e-6, 1e6)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["今天天气很好", "我喜欢吃面条"], True),
        (["これはペンです", "カタカナ"], True),
        (["วันนี้อากาศดี", "ผมชอบกินข้าว"], True),
        (["ຂ້ອຍມັກເຂົ້າ", "ខ្ញុំចូលចិត្តបាយ", "ကျွန်တော်ထမင်းကြိုက်တယ်"], True),
        (["この Python のコードは動きません", "Windows を再起動しました"], True),
        (["오늘 날씨가 좋다", "나는 국수를 좋아한다"], False),
        (["the parcel from 北京 came late again, as always", "is the app down?"], False),
        (["привет как дела", "مرحبا كيف حالك", "नमस्ते आप कैसे हैं"], False),
        (["123 456", "!!"], False),
    ],
)
def test_the_script_is_told_from_the_letters(texts: list[str], expected: bool) -> None:
    assert scripts.without_spaces(texts) is expected


def test_characters_are_counted_where_there_are_no_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for split, count, seed in (("train", 80, 1), ("validation", 20, 2), ("test", 40, 3)):
        tiny.write_csv(folder / f"{split}.csv", chinese(count, seed))
    spec = ClassifySpec(
        data=str(folder), encoder=str(tiny.bert(tmp_path / "bert")), heads=("lr",), length=24, device="cpu"
    )
    run = classify_runs.create(spec)
    list(classify_runs.drive(run, Control()))
    found = classify_results.read(run)
    assert found.reports["tfidf"].accuracy > 0.95
    assert "characters" in found.reports["tfidf"].settings
    again = Classifier(run).predict(found.texts, ("tfidf",))["tfidf"]
    assert np.abs(again - found.probabilities["tfidf"]).max() < 1e-9


def test_a_vocabulary_of_an_earlier_version_is_one_of_words() -> None:
    words = baselines.count_words(["a red car", "a blue car"])
    again = baselines.words_from(json.loads(json.dumps(words.vocabulary)), words.idf)
    assert again.analyzer == "word"
    assert np.array_equal(again.features(["red car"]).toarray(), words.features(["red car"]).toarray())
    with pytest.raises(ValueError, match="analyzer"):
        baselines.words_from(words.vocabulary, words.idf, "pickle")
