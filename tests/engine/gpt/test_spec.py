"""Specs: presets, what is wrong with them, and where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from workbench import spec

from data.vocabulary import Vocabulary
from engine.gpt.spec import PRESETS, TrainSpec, build, read_toml
from engine.runs.spec import BadSpec, options, restored, to_dict


def problems(given: dict[str, Any]) -> dict[str, str]:
    """What is wrong, by field."""
    with pytest.raises(BadSpec) as caught:
        build(given, preset_for_auto="nano")
    found = {problem.field: problem.message for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    assert str(caught.value).count("\n") == len(found) - 1
    return found


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_valid_and_auto_means_the_given_one(preset: str) -> None:
    made = build({}, preset_for_auto=preset)
    assert made == build({"preset": preset}, preset_for_auto="nano")
    assert made.preset == preset
    for name, value in PRESETS[preset].items():
        assert getattr(made, name) == value


def test_what_is_given_goes_before_the_preset() -> None:
    made = build({"preset": "karpathy", "width": "96", "tied": "yes"}, preset_for_auto="nano")
    assert (made.width, made.tied, made.layers, made.activation) == (96, True, 6, "relu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"steps": "1_000"}, 1000),
        ({"steps": "1e3"}, 1000),
        ({"steps": 7}, 7),
        ({"learning-rate": "3e-4"}, 3e-4),
        ({"learning_rate": "0.001"}, 1e-3),
        ({"tied": "No"}, False),
        ({"tied": True}, True),
        ({"save_every": 5}, 5.0),
        ({"sample_prompt": "\n"}, "\n"),
    ],
)
def test_strings_become_the_fields_types(given: dict[str, Any], expected: object) -> None:
    made = build(given, preset_for_auto="nano")
    (name,) = given
    value = getattr(made, name.replace("-", "_"))
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": "many"}, "'many' is not a whole number"),
        ({"steps": "1.5"}, "'1.5' is not a whole number"),
        ({"steps": "nan"}, "not a whole number"),
        ({"steps": "inf"}, "not a whole number"),
        ({"steps": True}, "not a whole number"),
        ({"dropout": "much"}, "'much' is not a number"),
        ({"tied": "maybe"}, "'maybe' is not true or false"),
        ({"steps": "0"}, "at least 1"),
        ({"heads": "3"}, "3 do not divide the width 128"),
        ({"heads": "0"}, "at least 1"),
        ({"dropout": "1"}, "0 ≤ dropout < 1"),
        ({"dropout": "nan"}, "0 ≤ dropout < 1"),
        ({"learning_rate": "nan"}, "0 < learning rate ≤ 1"),
        ({"learning_rate": "0"}, "0 < learning rate ≤ 1"),
        ({"temperature": "-1"}, "must not be negative"),
        ({"activation": "tanh"}, "'tanh' is none of gelu, relu"),
        ({"preset": "huge"}, "'huge' is none of auto, nano, small, karpathy"),
        ({"sample_prompt": ""}, "must not be empty"),
        ({"corpus": " "}, "name a text file"),
        ({"encoding": "cp99"}, "'cp99' is not an encoding"),
        ({"widht": "3"}, "there is no such field; did you mean width?"),
        ({"learningrate": "3"}, "did you mean learning_rate?"),
    ],
)
def test_a_wrong_value_is_told_by_field(given: dict[str, Any], says: str) -> None:
    (name,) = given
    found = problems(given)
    assert list(found) == [name]
    assert says in found[name]


def test_an_unknown_field_like_no_other_lists_what_there_is() -> None:
    message = problems({"xyzzy": "1"})["xyzzy"]
    assert all(name in message for name in options(TrainSpec))


def test_every_problem_is_told_at_once() -> None:
    given = {"widht": "3", "steps": "many", "heads": "5", "dropout": "2", "batch": "0", "decay": "nothing"}
    assert set(problems(given)) == set(given)


def test_a_text_shorter_than_the_context_is_refused() -> None:
    made = spec("x", context=16)
    with pytest.raises(BadSpec, match="169 characters are too few") as caught:
        made.for_corpus(169, Vocabulary("\n"), "a")
    assert caught.value.problems[0].field == "corpus"
    assert made.for_corpus(170, Vocabulary("\n"), "a") == made


def test_fields_come_from_toml_flat_or_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    for content in (
        'steps = 7\ncorpus = "a.txt"\ntied = false\n',
        '[train]\nsteps = 7\ncorpus = "a.txt"\ntied = false\n',
    ):
        path.write_text(content)
        made = build(read_toml(path), preset_for_auto="nano")
        assert (made.steps, made.corpus, made.tied) == (7, "a.txt", False)


@pytest.mark.parametrize("content", [b"steps = = 3", b"steps = '\xff'"])
def test_a_damaged_toml_file_is_told_by_path(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(content)
    with pytest.raises(BadSpec, match=r"spec\.toml: "):
        read_toml(path)
    with pytest.raises(BadSpec, match=r"other\.toml: No such file"):
        read_toml(tmp_path / "other.toml")


def test_a_spec_survives_json_and_fields_of_other_versions() -> None:
    made = spec("x", learning_rate=1 / 3, sample_prompt="è\n")
    record = json.loads(json.dumps(to_dict(made)))
    assert restored(TrainSpec, record) == made
    assert restored(TrainSpec, {**record, "from_the_future": 1}) == made
    del record["clip"]
    assert restored(TrainSpec, record).clip == TrainSpec().clip
