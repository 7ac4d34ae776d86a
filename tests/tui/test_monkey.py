"""A short piece of ``make monkey``: random keys, clicks and sizes for the real program."""

from __future__ import annotations

import json

import monkey
import pytest


def test_a_short_storm_of_keys_and_clicks_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code = monkey.main(["--untrained", "--seed=7", "--keys=150", "--minutes=1"])
    told = capsys.readouterr().out
    assert code == 0, told
    figures = json.loads(told.splitlines()[-1])
    assert figures["seed"] == 7
    assert figures["keys"] > 0
    assert figures["crashes"] == 0


def test_a_seed_repeats_the_input() -> None:
    from itertools import islice
    from random import Random

    def made(seed: int) -> list[monkey.Input]:
        return list(islice(monkey.inputs(Random(seed)), 300))

    assert made(3) == made(3)
    assert made(3) != made(4)
