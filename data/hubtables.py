"""Data sets of the Hugging Face Hub, through the ``datasets`` library: from its cache, or downloaded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.tablefiles import Raw, TableError, split_called

_NAME = re.compile(r"\w[\w.-]{0,95}(/\w[\w.-]{0,95})?(:\w[\w.-]{0,95})?", re.ASCII)


def possible(name: str) -> bool:
    """Whether a data set on the Hub can be called so: ``owner/name``, or with a configuration ``owner/name:config``."""
    return bool(_NAME.fullmatch(name)) and ("/" in name or not re.search(r"\.\w+$", name))


def read(name: str, unreachable: Callable[[], str]) -> Raw:
    """Every labelled split of a data set. ``unreachable`` says why the Hub cannot be asked, or nothing.

    Raises :class:`data.tablefiles.TableError`, within seconds when neither the cache nor the Hub has it.
    """
    repository, _, configuration = name.partition(":")
    reason = "" if is_cached(repository) else unreachable()
    if reason:
        raise TableError(
            f"the data set {name!r} cannot be had: it is no file or folder here, it is not cached, and {reason}. "
            "helpdesk is bundled, and CSV, JSON lines and Parquet can be given by path"
        )
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded: Any = datasets.load_dataset(
            repository, configuration or None, download_config=datasets.DownloadConfig(max_retries=1)
        )
    except Exception as error:  # whatever a stranger's repository makes it raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        hint = " Name a configuration as owner/name:config." if "onfig" in str(error) else ""
        raise TableError(f"the data set {name!r} cannot be loaded from the Hub ({first}).{hint}") from None
    splits: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    columns: list[str] = []
    for split, table in loaded.items():
        called = split_called(str(split))
        if called is None or called in splits:
            continue
        splits[called] = table.to_list()
        columns = columns or list(table.column_names)
        for column, kind in table.features.items():
            if getattr(kind, "names", None):
                names[column] = [str(one) for one in kind.names]
    return Raw(splits, columns, names)


def is_cached(repository: str) -> bool:
    """Whether the library holds anything of a data set."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    folder = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    return (folder / repository.replace("/", "___")).is_dir()
