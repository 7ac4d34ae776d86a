"""Words or characters counted by TF-IDF, which every other method of a classification has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.comparison.scripts import without_spaces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAJORITY = "majority"
TFIDF = "tfidf"
GRID = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FEWEST = 2  # training texts that must hold a word or a pair of words, in sets that are not tiny
TINY = 2000  # training texts
_NGRAMS = {"word": (1, 2), "char": (1, 3)}


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
