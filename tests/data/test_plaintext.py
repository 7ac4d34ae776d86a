"""What surrounds a book goes, the book stays."""

from __future__ import annotations

import html
import random
import re
from pathlib import Path

import pytest
from workbench import make_verse

from data.corpus import from_file
from data.plaintext import clean, count_cantos
from engine.runs.messages import finish

NUMERALS = ["I", "II", "III"]
VERSES = "Nel mezzo del cammin di nostra vita\nmi ritrovai per una selva oscura,\nché la diritta via era smarrita.\n"


def cantos(title: str = "Inferno • Canto {}") -> str:
    """Three cantos; the last ends on the word that Dante ends on."""
    parts = [f"{title.format(number)}\n\n{VERSES}\n" for number in NUMERALS]
    return "".join(parts) + "E quindi uscimmo a riveder le stelle.\n"


CONTENTS = "LA DIVINA COMMEDIA\n\nCONTENTS\n\n" + "".join(f"  Inferno: Canto {n}\n" for n in NUMERALS) + "\n\n"
GUTENBERG = (
    "The Project Gutenberg eBook of a poem\n\n*** START OF THE PROJECT GUTENBERG EBOOK A POEM ***\n\n\n{}\n\n"
    "*** END OF THE PROJECT GUTENBERG EBOOK A POEM ***\n\nlicence licence\n"
)


def test_a_bare_book_stays_as_it_is() -> None:
    assert clean(cantos()) == (cantos(), [])


def test_prose_without_cantos_stays_as_it_is() -> None:
    prose = "It was a canto of sorts.\nWe saw the stelle\n\n  CANTO\nand went on.\n"
    assert clean(prose) == (prose, [])


def test_gutenbergs_header_and_licence_are_cut() -> None:
    body = "A line of prose.\nAnother.\n"
    text, cuts = clean(GUTENBERG.format(body))
    assert text == body
    assert [cut.reason for cut in cuts] == ["Project Gutenberg's header", "Project Gutenberg's licence"]
    assert all(cut.characters > 40 for cut in cuts)
    assert str(cuts[0]).startswith(f"cut {cuts[0].characters:,} characters: ")


def test_the_old_small_print_is_a_header_too() -> None:
    header = "Etext\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n"
    old = header + "Verse.\n\nEnd of the Project Gutenberg Etext\nrest"
    assert clean(old)[0] == "Verse.\n"


@pytest.mark.parametrize("title", ["Inferno • Canto {}", "CANTO {}", "  Inferno: Canto {}.", "Inferno\nCanto {}"])
def test_a_table_of_contents_goes_and_headings_stay(title: str) -> None:
    text, cuts = clean(CONTENTS + cantos(title))
    heading = title.format("I").splitlines()[-1]
    assert text.startswith(heading + "\n")
    assert count_cantos(text) == 3
    assert text.endswith("riveder le stelle.\n")
    assert [cut.reason for cut in cuts] == ["everything before the first canto"]
    assert text in CONTENTS + cantos(title)


def test_what_follows_the_last_verse_goes_and_is_reported() -> None:
    notes = "\n\nNotes of the editor\n\nSee the other edition.\n"
    text, cuts = clean(cantos() + notes)
    assert text == cantos()
    (cut,) = cuts
    assert cut.reason == "everything after the last verse"
    assert cut.characters == len(notes) + 1  # the line break of the last verse is given back


def test_the_stars_inside_the_poem_do_not_end_it() -> None:
    parts = cantos().replace("Inferno • Canto II\n", "quando si parte e le stelle\nInferno • Canto II\n")
    assert clean(parts) == (parts, [])


def test_a_page_of_a_web_archive_gives_its_text() -> None:
    page = (
        "<!DOCTYPE html>\r\n<html><head><title>Full text &amp; more</title></head><body>\r\n"
        f"<nav>menu</nav><pre>{html.escape(GUTENBERG.format(CONTENTS + cantos()))}</pre></body></html>"
    ).replace("\r\n", "\n")
    text, cuts = clean(page)
    assert text == cantos()
    assert [cut.reason for cut in cuts] == [
        "the web page around the text",
        "Project Gutenberg's header",
        "Project Gutenberg's licence",
        "everything before the first canto",
    ]


def test_entities_of_a_page_become_characters() -> None:
    assert clean("<html><pre>l&rsquo;aere &egrave; &lt;pi&ugrave;&gt;</pre></html>")[0] == "l’aere è <più>"


@pytest.mark.parametrize(
    "text",
    [
        cantos(),
        CONTENTS + cantos() + "\nnotes\n",
        GUTENBERG.format(CONTENTS + cantos()),
        f"<html><pre>{GUTENBERG.format(cantos())}</pre></html>",
        "no book at all\n",
    ],
)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once, _ = clean(text)
    assert clean(once) == (once, [])


def test_a_corpus_tells_what_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "commedia.txt"
    path.write_bytes(GUTENBERG.format(CONTENTS + cantos()).replace("\n", "\r\n").encode("utf-8-sig"))
    found = finish(from_file(path, cache=tmp_path))
    assert found.text() == cantos()
    assert len(found.cuts) == 3
    assert found.name == "commedia"


ENDS = [
    "E quindi uscimmo a riveder le stelle.",
    "puro e disposto a salire a le stelle.",
    "l’amor che move il sole e l’altre stelle.",
]
NOTES = (
    "Notes of the editor\n\nSee the other edition, which has everything that is left out here, for the reasons given.\n"
)


def comedy() -> str:
    """Three canticles of four cantos in tercets, whose verses end in "stelle" here and there."""
    rng = random.Random(3)
    parts = []
    for canticle, end in zip(("Inferno", "Purgatorio", "Paradiso"), ENDS, strict=True):
        for number in ("I", "II", "III", "IV"):
            verses = [line + " et terra" for line in make_verse(21, rng.randrange(99)).splitlines()]
            verses[rng.randrange(21)] = "quando si parte di qua giù le stelle,"
            tercets = "\n".join("  " + "\n  ".join(verses[start : start + 3]) + "\n" for start in range(0, 21, 3))
            parts.append(f"{canticle} • Canto {number}\n\n{tercets}\n")
        parts.append(f"  {end}\n\n")
    return "".join(parts)


def test_no_verse_of_a_part_of_the_comedy_is_cut() -> None:
    whole = comedy()
    cantos = [*(found.start() for found in re.finditer("^.* • Canto", whole, re.MULTILINE)), len(whole)]
    for start, begin in enumerate(cantos):
        for end in cantos[start + 1 :]:
            assert clean(whole[begin:end]) == (whole[begin:end], [])
    rng = random.Random(4)
    for _ in range(2000):
        begin, end = sorted(rng.sample(range(len(whole) + 1), 2))
        assert clean(whole[begin:end])[0].split() == whole[begin:end].split()


@pytest.mark.parametrize("canticles", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 2), slice(0, 3)])
def test_what_surrounds_any_canticle_is_cut(canticles: slice) -> None:
    parts = re.split(r"(?<=stelle\.)\n\n", comedy())[:3]
    verse = "\n\n".join(parts[canticles])
    text, cuts = clean(f"LA DIVINA COMMEDIA\ndi Dante Alighieri\n\n\n{verse}\n\n\n{NOTES}")
    assert text == verse + "\n"
    assert [cut.reason for cut in cuts] == ["everything before the first canto", "everything after the last verse"]


def test_another_poem_before_or_after_the_first_stays() -> None:
    other = "\n".join(["Guido, i’ vorrei che tu e Lapo ed io", "fossimo presi per incantamento", "e messi in un vasel"])
    for text in (f"{other}, ch’ad ogni vento\n\n{cantos()}", f"{cantos()}\n\n{other}, ch’ad ogni vento\n"):
        assert clean(text) == (text, [])


def test_every_book_of_a_text_loses_its_own_licence() -> None:
    text, cuts = clean(GUTENBERG.format("First book.") + GUTENBERG.format("Second book."))
    assert text == "First book.\nSecond book.\n"
    assert sum(cut.characters for cut in cuts) >= 2 * len(GUTENBERG.format("")) - 30
    assert len(cuts) == 4


def test_every_text_of_a_page_stays() -> None:
    assert clean("<html><pre>one</pre><p>menu</p><pre>two</pre></html>")[0] == "one\ntwo"
