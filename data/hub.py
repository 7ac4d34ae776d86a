"""Data sets on the Hugging Face Hub: which files of a repository hold which configuration and split."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

from data.formats import SPLITS, SUFFIXES, kind_of, split_called, split_word

ABOUT = (
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
)  # beside tables, none themselves
DEFAULT = "default"
CONVERTED = "refs/convert/parquet"  # the branch in which the Hub keeps Parquet files of every data set
_NAME = re.compile(r"(\w[\w.-]{0,95}(?:/\w[\w.-]{0,95})?)(?:@(\w[\w./-]{0,95}))?(?::(\w[\w.-]{0,95}))?", re.ASCII)
_HEAD = re.compile(r"---\r?\n(.*?)\n---", re.DOTALL)
_SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?$")
_DEEPEST = 12  # folders of a file that patterns are matched with

P = TypeVar("P", bound=PurePath)
Splits = Mapping[str, Sequence[str]]
"""split to the paths of its files in the repository, in order"""


@dataclass(frozen=True)
class Fetched:
    """Files of one configuration of a data set that are on this machine."""

    splits: Mapping[str, Sequence[Path]]
    """in the order of their rows"""
    source: str
    """where they came from"""
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """of integer labels, by column"""
    bytes: int = 0
    """of the whole data set on the Hub where these are its first rows only; else 0"""


def possible(name: str) -> bool:
    """Whether a data set on the Hub can be called so: ``owner/name``, also ``owner/name@revision:configuration``."""
    return bool(_NAME.fullmatch(name)) and ("/" in name or not re.search(r"\.\w+$", name))


def parts(name: str) -> tuple[str, str, str]:
    """Repository, revision and configuration of a possible name, the latter two empty where they are not given."""
    found = _NAME.fullmatch(name)
    assert found is not None, name
    return found[1], found[2] or "", found[3] or ""


def configurations(files: Sequence[str], head: Mapping[str, Any]) -> dict[str, Splits]:
    """The splits of each configuration of a repository.

    ``files`` are all of its paths, ``head`` is that of its README. Where the head declares no configuration, the names
    of folders and files tell: a folder other than ``data`` is a configuration, and so is a file of which no word tells
    a split.
    """
    tables = [file for file in sorted(files) if _is_table(PurePosixPath(file))]
    return _declared(tables, head) or _by_names(tables)


def default_of(found: Mapping[str, Splits], head: Mapping[str, Any]) -> str:
    """The configuration that is read where none is named; empty where one has to be."""
    marked = [_text(one.get("config_name")) for one in _configs(head) if one.get("default") == "true"]
    candidates = [*marked, DEFAULT, *(found if len(found) == 1 else ())]
    return next((name for name in candidates if name in found), "")


def converted(files: Sequence[str]) -> dict[str, Splits]:
    """The splits of each configuration in the branch :data:`CONVERTED`: ``configuration/split/0000.parquet``."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in sorted(files):
        places = PurePosixPath(file).parts
        if len(places) == 3 and _is_table(PurePosixPath(file)):
            found.setdefault(places[0], {}).setdefault(places[1].removeprefix("partial-"), []).append(file)
    return {name: dict(splits) for name, splits in found.items()}


def head_text(readme: str) -> str:
    """The beginning of a README to the end of its head; empty where it has none."""
    found = _HEAD.match(readme)
    return found[0] if found else ""


def head_of(readme: str) -> dict[str, Any]:
    """The head of a README in YAML, every scalar as text; empty where it has none that can be read."""
    import yaml  # type: ignore[import-untyped]

    found = _HEAD.match(readme)
    try:
        head = yaml.load(found[1], Loader=yaml.BaseLoader) if found else None
    except (yaml.YAMLError, RecursionError):
        return {}
    return head if isinstance(head, dict) else {}


def label_names(head: Mapping[str, Any], configuration: str = "") -> dict[str, list[str]]:
    """Names of integer labels by column, as the head of a README tells them of one configuration, or of all."""
    found: dict[str, list[str]] = {}
    infos: Any = head.get("dataset_info")
    for info in infos if isinstance(infos, list) else [infos]:
        try:
            if configuration and info.get("config_name", DEFAULT) != configuration:
                continue
            for feature in info["features"]:
                if isinstance(feature["dtype"], dict) and "class_label" in feature["dtype"]:
                    names = feature["dtype"]["class_label"]["names"]  # by number
                    found[feature["name"]] = [_text(names[key]) for key in sorted(names, key=int)]
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return found


def by_split(found: Mapping[P, str]) -> dict[str, list[P]]:
    """Files of each split, given the word that tells it in the name of each file; those without a word are left out.

    Of several sets of files for a split one is taken: that whose word is the split's own name, in the outermost folder.
    """
    groups: dict[str, dict[tuple[PurePath, str, str], list[P]]] = {}
    for file, word in found.items():
        if word:
            groups.setdefault(SPLITS[word], {}).setdefault((file.parent, kind_of(file), word), []).append(file)
    splits = {}
    for split, own in groups.items():
        best = min(own, key=lambda group: (split != group[2], len(group[0].parts), SUFFIXES.index(group[1])))
        splits[split] = own[best]
    return splits


def _is_table(file: PurePath) -> bool:
    hidden = file.is_absolute() or any(part.startswith(".") for part in file.parts)
    return bool(kind_of(file)) and file.name not in ABOUT and not hidden


def _text(value: Any) -> str:
    """A scalar of a README; empty for anything else, which may be nested without end."""
    return value if isinstance(value, str) else ""


def _by_names(tables: Iterable[str]) -> dict[str, Splits]:
    """Configurations where none is declared."""
    folders: dict[str, dict[PurePosixPath, str]] = {}
    for table in tables:
        file = PurePosixPath(table)
        places = [place for place in file.parent.parts if place != "data"]
        split = places.pop() if places and split_called(places[-1]) else ""
        folders.setdefault("/".join(places), {})[file] = split_word(f"{split} {file.name}")
    found: dict[str, Splits] = {}
    for folder, files in folders.items():
        splits = {split: list(map(str, own)) for split, own in by_split(files).items()}
        if splits:
            found[folder.replace("/", "-") or DEFAULT] = splits
            continue
        for file in files:
            own = folder.replace("/", "-") or _SHARD.sub("", file.name.split(".")[0]) or DEFAULT
            found.setdefault(own, {"train": []})["train"].append(str(file))  # type: ignore[attr-defined]
    return found


def _configs(head: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = head.get("configs")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _declared(tables: Sequence[str], head: Mapping[str, Any]) -> dict[str, Splits]:
    """Configurations of the head of a README, with the files that its patterns match."""
    found: dict[str, Splits] = {}
    for one in _configs(head):
        folder = _text(one.get("data_dir")).strip("/")
        within = [table for table in tables if not folder or table.startswith(f"{folder}/")]
        patterns = one.get("data_files")
        if patterns is None:
            inner = _by_names([table.removeprefix(f"{folder}/") for table in within])
            own: Splits = inner[default_of(inner, {})] if default_of(inner, {}) else {}
            splits = {split: [f"{folder}/{file}".strip("/") for file in files] for split, files in own.items()}
        else:
            prefix = f"{folder}/" if folder else ""
            asked = {split: [prefix + pattern for pattern in own] for split, own in _patterns(patterns).items()}
            splits = {
                split: [table for pattern in own for table in tables if _matches(table, pattern)]
                for split, own in asked.items()
            }
        splits = {split: list(dict.fromkeys(files)) for split, files in splits.items() if files}
        if splits:
            found[_text(one.get("config_name")) or DEFAULT] = splits
    return found


def _patterns(declared: Any) -> dict[str, list[str]]:
    """Patterns of each split, however a README declares them."""
    if isinstance(declared, dict):
        declared = [{"split": split, "path": path} for split, path in declared.items()]
    entries = declared if isinstance(declared, list) else [declared]
    found: dict[str, list[str]] = {}
    for entry in entries:
        split, path = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        found.setdefault(_text(split) or "train", []).extend(map(_text, path if isinstance(path, list) else [path]))
    return found


def _matches(table: str, pattern: str) -> bool:
    """Whether a path matches a pattern in which ``**`` stands for any folders and ``*`` for a part of a name."""

    def match(places: Sequence[str], globs: Sequence[str]) -> bool:
        if not globs:
            return not places
        if globs[0] == "**":
            return match(places, globs[1:]) or (bool(places) and match(places[1:], globs))
        return bool(places) and fnmatchcase(places[0], globs[0]) and match(places[1:], globs[1:])

    places, globs = table.split("/"), pattern.removeprefix("./").split("/")
    return len(places) <= _DEEPEST and globs.count("**") <= 2 and match(places, globs)


# -- what the datasets library cached --------------------------------------------------------------------------------


def library_cache(variable: str, name: str) -> Path:
    """The cache of a Hugging Face library, as that finds it, without importing it: ``variable`` names it, else the
    folder ``name`` in the home of all of them.
    """
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get(variable) or home / name).expanduser()


def saved_by_datasets(repository: str, configuration: str) -> Fetched | None:
    """The newest copy in the cache of the ``datasets`` library, whose Arrow files earlier versions read.

    None where there is none, or several configurations and none is named.
    """
    cache = library_cache("HF_DATASETS_CACHE", "datasets")
    folder = cache / repository.replace("/", "___")
    made: dict[str, list[Path]] = {}
    for about in folder.glob("*/*/*/dataset_info.json"):  # configuration, version and hash
        if about.parent.suffix != ".incomplete":
            made.setdefault(about.parent.parent.parent.name, []).append(about)
    name = configuration or default_of({one: {} for one in made}, {})
    for about in sorted(made.get(name, ()), key=lambda about: about.stat().st_mtime, reverse=True):
        try:
            info = json.loads(about.read_bytes())
            splits = {split: _arrow_files(about.parent, split) for split in map(str, info["splits"])}
            kinds = info.get("features") or {}
            labels = {
                column: list(map(str, kind["names"]))
                for column, kind in kinds.items()
                if isinstance(kind, dict) and isinstance(kind.get("names"), list)
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        if splits and all(splits.values()):
            return Fetched(splits, "cache of the datasets library", labels)
    return None


def _arrow_files(folder: Path, split: str) -> list[Path]:
    single, shards = f"{re.escape(split)}\\.arrow", rf"{re.escape(split)}-\d+-of-\d+\.arrow"
    return sorted(file for file in folder.iterdir() if re.search(rf"-({single}|{shards})$", file.name))
