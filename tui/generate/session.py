"""What the Generate pane keeps on disk: the tree of tokens, the settings, the models used; and texts in files.

The pane's file is replaced whole. Its size is bounded by ``token_tree.MOST`` nodes of about a hundred bytes and what
the user typed. Candidates are not kept: they are computed again when a token is looked at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoints import home, store
from data import encodings
from engine.lm.chat import Conversation
from engine.lm.sampling import Sampling
from engine.runs import codec
from engine.runs.codec import Misfit
from tui.generate.token_tree import MOST, RAW, Node, TokenTree

LARGEST = 4 << 20  # bytes


def read_text(path: Path) -> str:
    """The text of a file. Raises :class:`OSError` or :class:`ValueError`."""
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes, and the limit is {LARGEST:,}")
    return encodings.decode(path.read_bytes()).text


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; what UTF-8 cannot carry becomes a question mark. Raises :class:`OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", errors="replace", newline="")


VERSION = 1
RECENT = 8  # names of models
CONVERSATIONS = 50  # whose texts are known


class Damaged(Exception):
    """The file cannot be read back; the message says where it has been put."""


@dataclass
class Session:
    """Everything that is there again after a restart."""

    tree: TokenTree = field(default_factory=TokenTree)
    sampling: Sampling = field(default_factory=Sampling)
    recent: list[str] = field(default_factory=list)
    """names of models as the user gave them, the last used first"""
    conversations: dict[str, Conversation] = field(default_factory=dict)
    """what chat templates made, the newest last, by the text that they made of it"""
    system: str = ""
    """the system message of the next conversation"""
    message: str | None = None
    """what was written as a user's message that no template has been applied to"""

    def converse(self, conversation: Conversation, text: str) -> None:
        """``text`` is what a template made of ``conversation``."""
        self.conversations.pop(text, None)
        self.conversations[text] = conversation
        while len(self.conversations) > CONVERSATIONS:
            del self.conversations[next(iter(self.conversations))]

    def used(self, model: str) -> None:
        """``model`` is the last used."""
        self.recent = [model, *(name for name in self.recent if name != model)][:RECENT]

    def record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        tree = self.tree
        return {
            "version": VERSION,
            "recent": self.recent,
            "sampling": dataclasses.asdict(self.sampling),
            "models": list(tree.models),
            "tip": tree.tip,
            "draft": tree.draft,
            "cursor": tree.cursor,
            "nodes": [_row(node) for node in tree.nodes[1:]],
            "conversations": [[text, one.user, one.system] for text, one in self.conversations.items()],
            "system": self.system,
            "message": self.message,
        }


class SessionFile:
    """The file, and what this process knows of it."""

    def __init__(self) -> None:
        self._stamp: tuple[int, int] | None = None
        self._one = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the pane's files lie."""
        return home.home() / "generate"

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "session.json"

    def read(self) -> Session:
        """What was kept; something empty when nothing was. Raises :class:`Damaged`, the file put aside."""
        try:
            content = store.read_file(self.path)
            self._stamp = self._look()
        except FileNotFoundError:
            return Session()
        except OSError as error:
            raise Damaged(f"{self.path} could not be read: {error.strerror or error}") from None
        try:
            return _restored(store.decode(content))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            aside = self._aside("damaged")
            raise Damaged(f"the saved text is damaged ({error}); the file was renamed to {aside}") from None

    def write(self, record: dict[str, Any]) -> Path | None:
        """Replace the file. Any thread. Raises :class:`OSError`.

        Where another process has written meanwhile, its file is put aside and the path returned.
        """
        with self._one:
            self.folder.mkdir(parents=True, exist_ok=True)
            there = self._look()
            other = self._aside("other") if there is not None and there != self._stamp else None
            store.replace_file(self.path, json.dumps(record).encode())
            self._stamp = self._look()
            return other

    def add(self, name: str, text: str) -> Path:
        """Append to a text file beside it. Raises :class:`OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return self.folder / name

    def _look(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            stat = self.path.stat()
            return stat.st_ino, stat.st_mtime_ns
        return None

    def _aside(self, why: str) -> Path:
        target = self.path.with_name(f"session-{why}-{time.time_ns()}.json")
        with contextlib.suppress(OSError):
            os.rename(self.path, target)
        return target


def _row(node: Node) -> list[Any]:
    flags = node.prompt | node.head << 1 | node.chosen << 2
    numbers = (node.logprob, node.drawn_logprob, node.rank, node.entropy, node.kept)
    finite = (value if value is not None and math.isfinite(value) else None for value in numbers)
    return [node.parent, node.id, node.text, node.model, flags, node.latest, *finite]


def _restored(record: dict[str, Any]) -> Session:
    """Raises whatever comes first for a record that is none."""
    if record["version"] != VERSION:
        raise ValueError(f"it is of version {record['version']!r}")
    tree = TokenTree()
    tree.models = [str(name) for name in record["models"]]
    rows = record["nodes"]
    if len(rows) > 2 * MOST:
        raise ValueError(f"it holds {len(rows):,} tokens")
    for number, row in enumerate(rows, 1):
        parent, ident, text, model, flags, latest, *numbers = row
        whole = (parent, ident, model, flags, latest)
        if not all(type(value) is int for value in whole) or type(text) is not str:
            raise ValueError(f"token {number} is none")
        if not 0 <= parent < number or not RAW <= model < len(tree.models) or not latest <= len(rows):
            raise ValueError(f"token {number} stands nowhere")
        if len(numbers) != 5 or not all(value is None or isinstance(value, int | float) for value in numbers):
            raise ValueError(f"token {number} has no numbers")
        prompt, head, chosen = (bool(flags & bit) for bit in (1, 2, 4))
        tree.nodes.append(Node(parent, ident, text, model, prompt, head, chosen, *numbers))
        tree.nodes[number].latest = latest
        tree.nodes[parent].children.append(number)
    for node in tree.nodes:
        if node.latest not in node.children:
            node.latest = node.children[-1] if node.children else -1
    tip = record["tip"]
    if type(tip) is not int or not 0 <= tip < len(tree.nodes):
        raise ValueError("the text ends nowhere")
    tree.show(tree.way(tip), str(record["draft"]), int(record["cursor"]))
    message = record.get("message")  # earlier versions had no conversations
    return Session(
        tree,
        _settings(record["sampling"]),
        [str(name) for name in record["recent"]][:RECENT],
        {
            str(text): Conversation(str(user), str(system))
            for text, user, system in record.get("conversations", [])[-CONVERSATIONS:]
        },
        str(record.get("system", "")),
        str(message) if message is not None else None,
    )


def _settings(record: dict[str, Any]) -> Sampling:
    """Settings that cannot be used are not worth losing a text for: those get their defaults."""
    with contextlib.suppress(Misfit, AttributeError):
        sampling = codec.decode(Sampling, record)
        if not sampling.validate():
            return sampling
    return Sampling()
