"""The size limit of cached features and indexes, and their removal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from checkpoints import home
from checkpoints import run as runs
from engine.encoders import cache, features, index
from tui.command import cli

HOUR = 3600


def made(kind: str, name: str, size: int, hours: float) -> Path:
    """An entry that was used so many hours ago."""
    folder = home.cache() / kind / name
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(bytes(size))
    os.utime(folder, (time.time() - hours * HOUR,) * 2)
    return folder


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMLAB_CACHE_GIB", str(1000 / (1 << 30)))


def test_what_was_used_longest_ago_is_removed_and_nothing_that_may_be_in_use() -> None:
    old, older = made("features", "a", 400, 3), made("indexes", "b", 400, 5)
    new = made("features", "c", 500, 0.5)
    cache.trim()
    assert [one.path for one in cache.entries()] == [old, new]
    assert not older.exists()
    made("indexes", "d", 5000, 0)
    cache.trim()
    assert {one.path.name for one in cache.entries()} == {"c", "d"}


def test_an_index_or_features_that_are_looked_up_count_as_used() -> None:
    texts = ["one", "two"]
    shelf = features.shelf("identity", texts, 8, "float32", "top")
    put = [made("features", shelf.path.name, 600, 9), made("indexes", index.place("mine").name, 600, 8)]
    features.shelf("identity", texts, 8, "float32", "top")
    cache.trim()
    assert [folder.exists() for folder in put] == [True, False]


def test_writing_an_index_keeps_the_limit() -> None:
    old = made("features", "a", 400, 3)
    index.write(index.place("mine"), "content", np.zeros((30, 8), np.float32))
    assert not old.exists()
    assert index.read(index.place("mine"), "content") is not None


def test_the_command_shows_the_cache_and_clears_it(capfd: pytest.CaptureFixture[str]) -> None:
    made("features", "a", 2048, 0)
    made("indexes", "b", 1024, 0)
    (home.cache() / "inferno.txt").write_text("nel mezzo")
    assert cli.main(["cache"]) == 0
    assert [line.split()[:3] for line in capfd.readouterr().out.splitlines()[:2]] == [
        ["features", "1", "2.0"], ["indexes", "1", "1.0"],
    ]  # fmt: skip
    with runs.create(home.runs(), "busy", {}, {}).lock():
        assert cli.main(["cache", "--clear"]) == 2
        assert "is running and may use the cache" in capfd.readouterr().err
    assert len(cache.entries()) == 2
    assert cli.main(["cache", "--clear", "--json"]) == 0
    told = capfd.readouterr()
    assert "3.0 KiB removed" in told.err
    assert json.loads(told.out)["features"] == {"entries": 0, "bytes": 0}
    assert cache.entries() == []
    assert (home.cache() / "inferno.txt").exists()
