"""What the Tokens pane asks the user, and what leaves it: files, the clipboard, the search in a vocabulary."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from textual import on, work
from textual.content import Content

from engine.tokenization.spans import Token
from tui import units
from tui.dialogs import Entry, Page
from tui.panes.pane import Pane
from tui.text import safe
from tui.tokens import cards, storage
from tui.tokens.editor import LIMIT, TokenEditor
from tui.tokens.search import TokenSearch
from tui.tokens.shelf import MOST, Shelf

PAGE = 84  # cells of a page
CLIPBOARD = 70_000  # bytes; common terminals drop more without a word


class TokenErrands(Pane):
    """The part of the Tokens pane that talks to the user and to the disk; the pane itself draws and moves."""

    shelf: Shelf
    editor: TokenEditor
    """where the text is typed"""

    @property
    def tensor(self) -> tuple[str, str]:
        """What to call the tensor that is shown, and the tensor."""
        raise NotImplementedError

    @property
    def token(self) -> Token | None:
        """The caret's token in the vocabulary whose card is shown."""
        raise NotImplementedError

    def add(self, name: str) -> None:
        """Show one more vocabulary."""
        raise NotImplementedError

    def action_card(self) -> None:
        """All that is known about the token, whatever room there is for it beside the rows."""
        if self.shelf.study is not None:
            lines = [strip.text for strip in cards.card(self.shelf, self.token, PAGE)]
            title = f"token of {safe(self.shelf.study.name, lines=False)}"
            self.app.push_screen(Page(title, Content("\n".join(lines))))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_file(self) -> None:
        """A file into the editor."""
        path = await self.app.push_screen_wait(
            Entry("Open", "A text file. What is in the editor now comes back with Ctrl+Z.", "", _named)
        )
        if path is None:
            return
        try:
            text = await asyncio.to_thread(storage.read, Path(os.path.expanduser(path)))
        except (OSError, ValueError, RuntimeError) as error:
            self.tell("It cannot be opened", reason(error))
            return
        self.editor.load(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_add(self) -> None:
        """Another vocabulary beside the others."""
        if len(self.shelf.studies) >= MOST:
            self.app.notify(f"{MOST} vocabularies are the most; z takes one away", severity="warning")
            return
        name = await self.app.push_screen_wait(
            Entry(
                "Add a vocabulary",
                "gpt2, wordpiece, bundled, a run (name or latest), a folder with tokenizer.json, or a name on "
                "the Hugging Face Hub.",
                "",
                _named,
            )
        )
        if name is not None:
            self.add(name.strip())

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_search(self) -> None:
        """Look for entries of the vocabulary."""
        study = self.shelf.study
        if study is None or study.lexicon is None:
            self.app.notify("the vocabulary is still being read", timeout=3)
            return
        text = await self.app.push_screen_wait(TokenSearch(study))
        if text is not None:
            self.editor.insert(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_save_ids(self) -> None:
        """Write text, ids and offsets of every vocabulary as JSON."""
        views = self.shelf.views
        path = await self.app.push_screen_wait(
            Entry("Save ids", "Text, ids and offsets in every vocabulary, as JSON.", str(storage.export_path()), _named)
        )
        if path is None:
            return
        target = Path(os.path.expanduser(path))
        try:
            await asyncio.to_thread(storage.export, target, self.shelf.text, views)
        except (OSError, RuntimeError) as error:
            self.tell("It cannot be saved", reason(error))
        else:
            self.app.notify(safe(f"saved {target}", lines=False), markup=False, timeout=8)

    def action_copy_ids(self) -> None:
        """All ids to the clipboard."""
        study = self.shelf.study
        if study is not None and study.view is not None:
            view = study.view
            self._copy(lambda: str(view.ids))

    def action_copy_tensor(self) -> None:
        """The tensor to the clipboard."""
        line = self.tensor[1]
        if line:
            self._copy(lambda: line)

    @on(TokenEditor.Cut)
    def _cut(self, event: TokenEditor.Cut) -> None:
        self._copy(lambda: event.text)

    @on(TokenEditor.Full)
    def _full(self) -> None:
        self.app.notify(f"only the first {LIMIT:,} characters were taken", severity="warning")

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self, make: Callable[[], str]) -> None:
        """To the terminal's clipboard if it is not too large for one, and always into a file."""
        text = await asyncio.to_thread(make)
        size = len(text.encode("utf-8", "replace"))
        sent = size <= CLIPBOARD
        if sent:
            self.app.copy_to_clipboard(text.encode("utf-8", "replace").decode())
        told = (
            f"sent {units.size(size)} to the terminal's clipboard"
            if sent
            else f"{units.size(size)} are too much for it"
        )
        try:
            path = await asyncio.to_thread(storage.copied, text)
        except OSError as error:
            self.app.notify(f"{told}; not kept: {reason(error)}", markup=False, severity="warning")
        else:
            self.app.notify(safe(f"{told}; it is in {path}", lines=False), markup=False, timeout=8)


def _named(text: str) -> str:
    return "" if text.strip() else "give a name"


def reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return str(error)
