"""Names that users type: ``~`` before a user that does not exist is a name like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import home, run
from data import dante, sources
from data.corpus import CorpusError
from engine.encoders import find as encoders
from engine.gpt import trained
from engine.runs import tasks

NAME = "~no-such-user-here/file.txt"


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (lambda: list(dante.load(NAME, cache=home.cache())), CorpusError),
        (lambda: list(encoders.find(NAME)), encoders.NoEncoder),
        (lambda: run.find(home.runs(), NAME), run.NoSuchRun),
        (lambda: trained.load(NAME), run.NoSuchRun),
    ],
)
def test_it_is_refused_as_any_name_of_nothing_is(use: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        use()


def test_it_names_no_file_and_its_place_is_the_current_folder() -> None:
    assert sources.existing(NAME) is None
    assert tasks.absolute(NAME) in (NAME, str(Path.cwd() / NAME))
