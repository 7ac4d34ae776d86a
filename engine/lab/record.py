"""What the lab keeps on the disk beside runs: settings, answers, guesses, texts and measurements.

Each is a JSON file in ``home()/lab``, replaced atomically. A file that is missing, damaged or of another version counts
as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import home, store
from engine.lab.results import Temperatures, Tokens, Verse
from engine.runs import codec
from engine.runs.spec import Problem, option, options

Measured = Tokens | Verse | Temperatures
MEASURED: Mapping[str, type[Measured]] = {"tokens": Tokens, "verse": Verse, "temperatures": Temperatures}


@dataclass(frozen=True)
class Settings:
    """What the exercises work on: names as the fields of specs take them, and paths from the root."""

    corpus: str = option("dante", "Exercise 1: a text file, dante or dantesque.", group="data", path=True)
    emotion: str = option("feelings", "Exercise 3.1: texts with skewed classes.", group="data", path=True)
    news: str = option("helpdesk", "Exercise 3.1: texts with balanced classes.", group="data", path=True)
    questions: str = option("everyday", "Exercise 3.2: multiple-choice questions.", group="data", path=True)
    documents: str = option("workshop", "Exercise 3.3: documents, queries and qrels.", group="data", path=True)
    encoder: str = option("auto", "Exercises 3.1 to 3.3, as in the tasks.", group="models", path=True)
    model: str = option("auto", "Exercises 2.2 and 3.2: a causal language model.", group="models", path=True)

    def validate(self) -> list[Problem]:
        """Everything that is wrong with the names by themselves."""
        return [Problem(name, "must not be empty") for name in options(Settings) if not getattr(self, name).strip()]


def folder() -> Path:
    """Where the files are. It need not exist."""
    return home.home() / "lab"


def settings() -> Settings:
    """The settings, with defaults for those that are absent or blank."""
    known = codec.encode(_restored(Settings, "settings") or Settings())
    return Settings(**{name: value for name, value in known.items() if value.strip()})


def save_settings(chosen: Settings) -> None:
    """Replace the settings. Raises :class:`OSError`, as all that saves."""
    _write("settings", codec.encode(chosen))


def answers() -> dict[str, str]:
    """The sentences that were written, by number of the exercise."""
    return {number: text for number, text in _table("answers").items() if isinstance(text, str) and text.strip()}


def save_answer(number: str, text: str) -> None:
    """Keep the sentences about an exercise; an empty text removes them."""
    _write("answers", {"answers": {**answers(), number: text}})


def guesses() -> dict[str, int]:
    """How many tokens each text was guessed to have."""
    return {text: count for text, count in _table("guesses").items() if type(count) is int and count >= 0}


def save_guesses(given: Mapping[str, int]) -> None:
    """Replace the guesses."""
    _write("guesses", {"guesses": dict(given)})


def own_texts() -> tuple[str, ...]:
    """Texts of the student's own for the tokenizer."""
    texts = _read("texts").get("texts")
    return tuple(texts) if isinstance(texts, list) and all(isinstance(one, str) for one in texts) else ()


def save_own_texts(texts: Sequence[str]) -> None:
    """Replace those texts."""
    _write("texts", {"texts": list(texts)})


def measured(name: str) -> Measured | None:
    """A measurement, one of :data:`MEASURED`; None where there is none."""
    found: Measured | None = _restored(MEASURED[name], name)
    return found


def save_measured(name: str, value: Measured) -> None:
    """Replace a measurement."""
    _write(name, codec.encode(value))


def _restored(kind: type[Any], name: str) -> Any:
    if not (record := _read(name)):
        return None
    try:
        return codec.decode(kind, record)
    except codec.Misfit:
        return None


def _table(name: str) -> dict[str, Any]:
    table = _read(name).get(name)
    return table if isinstance(table, dict) else {}


def _read(name: str) -> dict[str, Any]:
    try:
        return store.read_object(folder() / f"{name}.json")
    except (OSError, ValueError):
        return {}


def _write(name: str, content: dict[str, Any]) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    store.replace_file(folder() / f"{name}.json", store.encode(content))
