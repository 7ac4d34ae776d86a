"""Plain text out of the files people have: line ends, web pages, Gutenberg's wrapping, what surrounds Dante's verse.

Everything here works on text in memory; :mod:`data.corpus` streams what is too large for that.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(
    r"^[^\S\n]*(?:(?:inferno|purgatorio|paradiso)\b[^\w\n]*)?canto\s+(?P<number>[ivxlc]+|\d+|primo)\b[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_GUTENBERG_START = re.compile(
    r"^.*(?:\*{3}\s*START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*|\*END\*? ?THE SMALL PRINT![^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_GUTENBERG_END = re.compile(
    r"^[^\S\n]*(?:\*{3}\s*END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg).*$",
    re.IGNORECASE | re.MULTILINE,
)
# The last verses of the three canticles. Other verses end in "stelle", too.
_LAST_VERSE = re.compile(
    r"^[^\n]*\b(?:riveder le|salire a ?l?le|e l['’]altre) stelle\b[^\w\n]*$", re.IGNORECASE | re.MULTILINE
)
# Three lines together as long as verses are.
_LIKE_VERSE = re.compile(r"(?:^[^\S\n]*[«“‘’(—-]?[^\W\d][^\n]{14,64}\n){3}", re.MULTILINE)
_FRONT = re.compile(r"\b(?:dante|commedia|comedy|inferno|purgatorio|paradiso|contents|indice|canto)\b", re.IGNORECASE)
_PRE = re.compile(r"<pre[^>]*>(.*?)</pre>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Cut:
    """A piece of a file that is not part of the text: how many characters, and why it went."""

    characters: int
    reason: str

    def __str__(self) -> str:
        return f"cut {self.characters:,} characters: {self.reason}"


def normalise_line_ends(text: str) -> str:
    """Turn CRLF and CR into LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def clean(text: str) -> tuple[str, list[Cut]]:
    """Cut what surrounds a book: a web page, Gutenberg's header and licence, everything around Dante's cantos.

    Returns the text and what was cut. Canto headings stay. Text without any of these comes back unchanged.
    """
    cuts: list[Cut] = []
    if re.match(r"\s*(?:<!doctype html|<html)", text, re.IGNORECASE) and (blocks := _PRE.findall(text)):
        inner = normalise_line_ends(html.unescape("\n".join(blocks)))
        cuts.append(Cut(len(text) - len(inner), "the web page around the text"))
        text = inner
    text = "".join(_without_gutenberg(text, cuts))
    return _between_cantos(text, cuts)


def _without_gutenberg(text: str, cuts: list[Cut]) -> Iterator[str]:
    """Every book of a text without Project Gutenberg's header and licence."""
    while text:
        end = len(text)
        if marker := _GUTENBERG_START.search(text):
            cuts.append(Cut(marker.end(), "Project Gutenberg's header"))
            text = text[marker.end() :].lstrip("\n")
            end = following.start() if (following := _GUTENBERG_START.search(text)) else len(text)
        if marker := _GUTENBERG_END.search(text, 0, end):
            cuts.append(Cut(end - marker.start(), "Project Gutenberg's licence"))
            yield text[: marker.start()].rstrip("\n") + "\n"
        else:
            yield text[:end]
        text = text[end:]


def count_cantos(text: str) -> int:
    """How many canto headings the text has."""
    return len(_HEADING.findall(text))


def _between_cantos(text: str, cuts: list[Cut]) -> tuple[str, list[Cut]]:
    """Cut what is before the first canto and after the last verse, unless it may be verse itself."""
    headings = [found for found in _HEADING.finditer(text) if _verse_follows(text, found.end())]
    if not headings or headings[0]["number"].lower() not in ("i", "1", "primo"):
        return text, cuts
    # A title that stands on the lines right above the heading ("INFERNO") goes with the introduction.
    begin = text.rfind("\n", 0, headings[0].start()) + 1
    if not _FRONT.search(text, 0, begin) or _may_be_verse(text[:begin]):
        begin = 0
    else:
        cuts.append(Cut(begin, "everything before the first canto"))
    verses = [found.end() for found in _LAST_VERSE.finditer(text, headings[-1].end())]
    end = verses[-1] if verses else len(text)
    if text[end:].strip() and not _may_be_verse(text[end:]) and not _HEADING.search(text, end):
        cuts.append(Cut(len(text) - end, "everything after the last verse"))
        return text[begin:end] + "\n", cuts
    return text[begin:], cuts


def _may_be_verse(text: str) -> bool:
    """Whether three lines as long as verses stand together that are no headings, as those of a table of contents."""
    return bool(_LIKE_VERSE.search(_HEADING.sub("", text)))


def _verse_follows(text: str, position: int) -> bool:
    """A heading in a table of contents is followed by another heading; a real one by lines of verse."""
    following = [line for line in text[position : position + 600].split("\n") if line.strip()][:3]
    return len(following) == 3 and not any(_HEADING.match(line) for line in following)
