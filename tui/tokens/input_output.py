"""What the Tokens pane asks the user, and what leaves it: files, the clipboard, the search in a vocabulary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual import on, work
from textual.content import Content

from engine.tokenization.spans import Token
from tui import units
from tui.pane import Pane
from tui.text import safe
from tui.tokens import storage, token_details
from tui.tokens.search import TokenSearch
from tui.tokens.tokenizer_list import TokenizerList
from tui.widgets.dialogs import Page, ask_path
from tui.widgets.editor import LIMIT, TokenEditor

PAGE = 84  # cells of a page
CLIPBOARD = 70_000  # bytes; common terminals drop more without a word


class TokensInputOutput(Pane):
    """The part of the Tokens pane that talks to the user and to the disk; the pane itself draws and moves."""

    tokenizers: TokenizerList
    editor: TokenEditor
    """where the text is typed"""

    _index: int | None = None
    """of the caret's token; None for the token under the caret"""

    @property
    def token(self) -> Token | None:
        """The caret's token in the vocabulary whose card is shown."""
        entry = self.tokenizers.current
        if entry is None or entry.view is None:
            return None
        if self._index is not None and self._index < len(entry.view):
            return entry.view.token(self._index)
        return self.tokenizers.under(entry, self.editor.buffer.caret)

    def action_card(self) -> None:
        if self.tokenizers.current is not None:
            lines = [strip.text for strip in token_details.card(self.tokenizers, self.token, PAGE)]
            title = f"token of {safe(self.tokenizers.current.name, lines=False)}"
            self.app.push_screen(Page(title, Content("\n".join(lines))))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_file(self) -> None:
        told = "A text file. What is in the editor now comes back with Ctrl+Z."
        path = await ask_path(self.app, "Open", told, blank="give a name")
        if path is None:
            return
        try:
            text = await asyncio.to_thread(storage.read, path)
        except (OSError, ValueError, RuntimeError) as error:
            self.tell("It cannot be opened", reason(error))
            return
        self.editor.load(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_search(self) -> None:
        entry = self.tokenizers.current
        if entry is None or entry.lexicon is None:
            self.app.notify("the vocabulary is still being read", timeout=3)
            return
        text = await self.app.push_screen_wait(TokenSearch(entry))
        if text is not None:
            self.editor.insert(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_save_ids(self) -> None:
        views = self.tokenizers.views
        told, proposed = "Text, ids and offsets in every vocabulary, as JSON.", str(storage.export_path())
        path = await ask_path(self.app, "Save ids", told, proposed, blank="give a name")
        if path is None:
            return
        try:
            await asyncio.to_thread(storage.export, path, self.tokenizers.text, views)
        except (OSError, RuntimeError) as error:
            self.tell("It cannot be saved", reason(error))
        else:
            self.app.notify(safe(f"saved {path}", lines=False), markup=False, timeout=8)

    def action_copy_ids(self) -> None:
        entry = self.tokenizers.current
        if entry is not None and (view := entry.view) is not None:
            self._copy(lambda: str(view.ids))

    def action_copy_tensor(self) -> None:
        line = self.tokenizers.tensor(self.editor.buffer.caret)[1]
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
        content = text.encode("utf-8", "replace")
        told = f"{units.size(len(content))} are too much for it"
        if len(content) <= CLIPBOARD:
            self.app.copy_to_clipboard(content.decode())
            told = f"sent {units.size(len(content))} to the terminal's clipboard"
        try:
            path = await asyncio.to_thread(storage.copied, text)
        except OSError as error:
            self.app.notify(f"{told}; not kept: {reason(error)}", markup=False, severity="warning")
        else:
            self.app.notify(safe(f"{told}; it is in {path}", lines=False), markup=False, timeout=8)


def reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return str(error)
