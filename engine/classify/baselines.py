"""What every method has to beat: the most frequent class, and words counted by TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.comparison.heads import Head, logistic
from engine.runs.events import Event
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAJORITY = "majority"
TFIDF = "tfidf"
GRID = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FEWEST = 2  # training texts that must hold a word or a pair of words, in sets that are not tiny
TINY = 2000  # training texts


def majority(labels: Sequence[int], classes: int, rows: int) -> NDArray[np.float64]:
    """The training shares of the classes as the probabilities of every row."""
    import numpy as np

    shares = np.bincount(np.asarray(labels), minlength=classes) / len(labels)
    return np.tile(shares, (rows, 1))


@dataclass(frozen=True)
class Words:
    """TF-IDF over words and pairs of words, as a vocabulary and the weight of each of its entries."""

    vocabulary: dict[str, int]
    idf: NDArray[np.float64]

    def features(self, texts: Sequence[str]) -> Any:
        """Sparse rows ``(len(texts), vocabulary)``, each of length 1."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, vocabulary=self.vocabulary)
        vectorizer.idf_ = self.idf
        return vectorizer.transform(texts)


def count_words(texts: Sequence[str]) -> Words:
    """Vocabulary and weights of the training texts. Raises :class:`ValueError` when they hold no words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    fewest = FEWEST if len(texts) > TINY else 1
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=fewest)
    vectorizer.fit(texts)
    return Words({str(word): int(place) for word, place in vectorizer.vocabulary_.items()}, vectorizer.idf_)


def tfidf(
    train: tuple[Sequence[str], Sequence[int]],
    validation: tuple[Sequence[str], Sequence[int]],
    control: Control,
    *,
    classes: int,
    class_weights: bool = False,
) -> Generator[Event, None, tuple[Words, Head]]:
    """Logistic regression on TF-IDF, its ``C`` chosen on validation. Raises :class:`ValueError` without any words."""
    words = count_words(train[0])
    head = yield from logistic(
        TFIDF,
        (words.features(train[0]), train[1]),
        (words.features(validation[0]), validation[1]),
        control,
        classes=classes,
        class_weights=class_weights,
        standardise=False,
        grid=GRID,
    )
    return words, head


def words_from(vocabulary: Mapping[str, Any], idf: NDArray[np.float64]) -> Words:
    """What was saved. Raises :class:`ValueError` when the two do not fit."""
    known = {str(word): int(place) for word, place in vocabulary.items()}
    if sorted(known.values()) != list(range(len(idf))):
        raise ValueError("the vocabulary does not fit its weights")
    return Words(known, idf)
