"""The stated policy for characters that a corpus does not have."""

from __future__ import annotations

import unicodedata

import pytest

from data.vocabulary import UnknownCharacterError, Vocabulary

ITALIAN = Vocabulary("\n ’,.-abcdefghilmnopqrstuvzàèéìòùABCDE")


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("perche\u0301", "perché"),  # a decomposed accent that the corpus knows composed
        ("naïve", "naive"),  # an accent that the corpus never uses
        ("nai\u0308ve", "naive"),
        ("l'arca", "l’arca"),
        ("l‘arca", "l’arca"),
        ("l`arca", "l’arca"),
        ("l´arca", "l’arca"),
        ("a—b", "a-b"),
        ("a\u00a0b\tc", "a b c"),
        ("ﬁne", "fine"),
        ("a…", "a..."),
        ("Ａ", "A"),
    ],
)
def test_what_normalisation_or_a_keyboard_explains_is_mapped_and_reported(given: str, read_as: str) -> None:
    encoded = ITALIAN.encode(given)
    assert ITALIAN.decode(encoded.ids) == read_as
    assert encoded.mapped
    assert encoded.explain().startswith("read ")
    for position, before, _ in encoded.mapped:
        assert given[position : position + len(before)] == before


def test_known_text_is_read_as_it_stands() -> None:
    text = "l’è più,\nche no."
    encoded = ITALIAN.encode(text)
    assert ITALIAN.decode(encoded.ids) == text
    assert encoded.mapped == []
    assert encoded.explain() == ""


def test_a_corpus_in_decomposed_form_reads_composed_input() -> None:
    vocabulary = Vocabulary("e\u0301a")
    assert vocabulary.decode(vocabulary.encode("é").ids) == "e\u0301"


def test_a_straight_apostrophe_in_the_corpus_takes_a_typographic_one() -> None:
    vocabulary = Vocabulary("a' \"")
    assert vocabulary.decode(vocabulary.encode("“a’”").ids) == '"a\'"'


@pytest.mark.parametrize("stranger", ["€", "ж", "漢", "[", "1", "\x1b", "\ud800"])
def test_anything_else_is_refused_by_name_and_position(stranger: str) -> None:
    with pytest.raises(UnknownCharacterError) as caught:
        ITALIAN.encode(f"ab{stranger}c")
    assert (caught.value.character, caught.value.position) == (stranger, 2)
    assert f"U+{ord(stranger):04X} {unicodedata.name(stranger, 'unnamed')}" in str(caught.value)
    assert "at position 2" in str(caught.value)


def test_positions_count_the_text_as_it_was_given() -> None:
    with pytest.raises(UnknownCharacterError) as caught:
        ITALIAN.encode("perche\u0301 €")
    assert caught.value.position == 8


def test_ids_are_the_places_in_code_point_order() -> None:
    vocabulary = Vocabulary("zèa\nz")
    assert vocabulary.characters == ("\n", "a", "z", "è")
    assert vocabulary.encode("èa\nz").ids == [3, 1, 0, 2]
    assert len(vocabulary) == 4
