"""What every method has to beat: the most frequent class, and words or characters counted by TF-IDF."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.comparison.heads import Head, logistic
from engine.comparison.scripts import without_spaces
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
_NGRAMS = {"word": (1, 2), "char": (1, 3)}


def majority(labels: Sequence[int], classes: int, rows: int) -> NDArray[np.float64]:
    """The training shares of the classes as the probabilities of every row."""
    import numpy as np

    shares = np.bincount(np.asarray(labels), minlength=classes) / len(labels)
    return np.tile(shares, (rows, 1))


@dataclass(frozen=True)
class Words:
    """TF-IDF over words or characters, as a vocabulary and the weight of each of its entries."""

    vocabulary: dict[str, int]
    idf: NDArray[np.float64]
    analyzer: str = "word"
    """``word``: words and pairs of words; ``char``: one to three characters"""

    def __str__(self) -> str:
        kind = "words and pairs"
        if self.analyzer == "char":
            kind = "sequences of 1 to 3 characters, since the script has no spaces between words"
        return f"{len(self.vocabulary):,} {kind}"

    def features(self, texts: Sequence[str]) -> Any:
        """Sparse rows ``(len(texts), vocabulary)``, each of length 1."""
        vectorizer = _vectorizer(self.analyzer, vocabulary=self.vocabulary)
        vectorizer.idf_ = self.idf
        return vectorizer.transform(texts)


def count_words(texts: Sequence[str]) -> Words:
    """Vocabulary and weights of the training texts. Raises :class:`ValueError` when they hold no words."""
    analyzer = "char" if without_spaces(texts) else "word"
    vectorizer = _vectorizer(analyzer, min_df=FEWEST if len(texts) > TINY else 1)
    vectorizer.fit(texts)
    vocabulary = {str(word): int(place) for word, place in vectorizer.vocabulary_.items()}
    return Words(vocabulary, vectorizer.idf_, analyzer)


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
        widen=True,
    )
    return words, head


def words_from(vocabulary: Mapping[str, Any], idf: NDArray[np.float64], analyzer: str = "word") -> Words:
    """What was saved. Raises :class:`ValueError` when the two do not fit."""
    known = {str(word): int(place) for word, place in vocabulary.items()}
    if sorted(known.values()) != list(range(len(idf))):
        raise ValueError("the vocabulary does not fit its weights")
    if analyzer not in _NGRAMS:
        raise ValueError(f"no analyzer {analyzer!r}")
    return Words(known, idf, analyzer)


def _vectorizer(analyzer: str, **settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=analyzer, ngram_range=_NGRAMS[analyzer], sublinear_tf=True, **settings)
