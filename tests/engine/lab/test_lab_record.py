"""What the lab keeps on the disk: read as it was written, and absent when it is damaged."""

from __future__ import annotations

import pytest

from checkpoints import home
from engine.lab import record
from engine.lab.record import Settings
from engine.lab.results import Rung, Temperatures, Tokenized, Tokens, Verse, VerseFigures

TOKENS = Tokens("gpt2", "bundled", (Tokenized("Hello", (1, 2), ("He", "llo")),), (), (), (1, 2), (1, 2))
FIGURES = VerseFigures("corpus", None, 90, 9, 0.5, (0.2, 0.8), 7, "a copy\n", 30.5, None, None, None, 0, None)
VERSE = Verse("run", FIGURES, (FIGURES,), FIGURES, "un testo è", 1337, 0.8)
LADDER = Temperatures("gpt2", "cache", "Who", 9, (Rung("greedy", 0, (1, 2), ("a", "b"), (0.5, 1), (-1.5, -2), (1, 1)),))


def test_everything_comes_back_as_it_was_saved() -> None:
    record.save_settings(Settings(news="/data/ag news", model=" "))
    assert record.settings() == Settings(news="/data/ag news")  # a blank one is the default
    record.save_answer("1", "It rhymes, è vero.")
    record.save_answer("2.1", "Spaces count.")
    record.save_answer("1", "")
    assert record.answers() == {"2.1": "Spaces count."}
    record.save_guesses({"schema": 2, "HelloWorld": 3})  # the name of an entry of the file is a text as any
    assert record.guesses() == {"schema": 2, "HelloWorld": 3}
    record.save_own_texts(["uno", ""])
    assert record.own_texts() == ("uno", "")
    for name, value in (("tokens", TOKENS), ("verse", VERSE), ("temperatures", LADDER)):
        assert record.measured(name) is None
        record.save_measured(name, value)
        assert record.measured(name) == value


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"schema": 99}', '{"corpus": 7, "texts": 1, "answers": []}'])
def test_what_is_damaged_is_absent(content: str) -> None:
    names = ("settings", "answers", "guesses", "texts", *record.MEASURED)
    record.folder().mkdir(parents=True)
    for name in names:
        (record.folder() / f"{name}.json").write_text(content)
    assert record.settings() == Settings()
    assert (record.answers(), record.guesses(), record.own_texts()) == ({}, {}, ())
    assert not any(map(record.measured, record.MEASURED))
    record.save_answer("1", "Again.")
    assert record.answers() == {"1": "Again."}


def test_folders_in_the_place_of_files_are_absent_too() -> None:
    (home.home() / "lab" / "answers.json").mkdir(parents=True)
    assert record.answers() == {}
    with pytest.raises(IsADirectoryError):
        record.save_answer("1", "nowhere")
