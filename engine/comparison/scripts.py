"""Scripts that put no spaces between words: which texts are written in them, and what stands in for words there."""

from __future__ import annotations

import re
from collections.abc import Sequence

SAMPLE, LONGEST = 2000, 2000  # texts, and characters of each, that tell the script
UNSPACED_SHARE = 0.2
# Thai, Lao, Myanmar, Khmer, kana, bopomofo, Han: not Hangul, which has spaces, nor Tibetan, which marks syllables.
_UNSPACED = (
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17d3\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af]"
)
_LETTER = re.compile(rf"[^\W\d_]|{_UNSPACED}")
_CHARACTER, _RUN = re.compile(_UNSPACED), re.compile(f"{_UNSPACED}+")


def without_spaces(texts: Sequence[str]) -> bool:
    """Whether a fifth or more of the letters belong to scripts that put no spaces between words."""
    of_those = others = 0
    for text in texts[:: max(1, len(texts) // SAMPLE)]:
        count = len(_CHARACTER.findall(text[:LONGEST]))
        of_those += count
        others += len(_LETTER.findall(text[:LONGEST])) - count
    return of_those > 0 and of_those >= UNSPACED_SHARE * (of_those + others)


def bigrams(text: str) -> tuple[list[str], str]:
    """Every two neighbouring characters of these scripts, a lone one by itself, and the text without any of them.

    Bigrams are the usual words of a search in Chinese, Japanese and Korean (Lucene's ``CJKBigramFilter``).
    """
    runs = _RUN.findall(text)
    found = [run[place : place + 2] for run in runs for place in range(max(1, len(run) - 1))]
    return found, _RUN.sub(" ", text)
