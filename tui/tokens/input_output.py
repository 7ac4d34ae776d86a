"""What the Tokens pane asks the user, and what leaves it: files, the clipboard, the search in a vocabulary."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from textual import on, work
from textual.content import Content
from textual.worker import get_current_worker

from engine.tokenization.encoding import NoTokenizer
from engine.tokenization.spans import Token, Tokenized, tokenize
from tui.clipboard import copy
from tui.pane import Pane
from tui.text import safe
from tui.tokens import storage, token_details
from tui.tokens.search import TokenSearch
from tui.tokens.tokenizer_list import TokenizerList
from tui.widgets.dialogs import Page, ask_path
from tui.widgets.editor import LIMIT, Editor
from tui.widgets.lines import Lines

PAGE = 84  # cells of a page
COMPUTING = "…"
Line = tuple[Tokenized, int, int]
"""a line of the text: the text in a vocabulary, start and end in characters"""


class TokensInputOutput(Pane):
    """The part of the Tokens pane that talks to the user and to the disk; the pane itself draws and moves."""

    tokenizers: TokenizerList
    editor: Editor
    """where the text is typed"""

    _line: tuple[Line | None, str] = None, ""
    """the line whose tensor was asked for last, and the tensor"""

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

    def tensor(self) -> tuple[str, str]:
        """What ``return_tensors="pt"`` gives for the caret's line as a text of its own, and what to call it.

        A line is tokenized in a thread; until it is, the pane shows :data:`COMPUTING`.
        """
        entry = self.tokenizers.current
        if entry is None or entry.view is None:
            return "", ""
        if "\n" not in self.tokenizers.text:
            return "tensor", entry.view.tensor_line()
        line = (entry.view, *self.tokenizers.line(self.editor.buffer.caret))
        if line != self._line[0]:
            self._line = line, COMPUTING
            self._tokenize_line(line, self.tokenizers.text[line[1] : line[2]])
        return "this line", self._line[1]

    @work(thread=True, exclusive=True, group="line", exit_on_error=False, description="line")
    def _tokenize_line(self, line: Line, text: str) -> None:
        worker = get_current_worker()
        made = ""
        with contextlib.suppress(NoTokenizer):  # it breaks on this line alone
            view = tokenize(line[0].tokenizer, text, stale=lambda: worker.is_cancelled)
            made = view.tensor_line() if view is not None else ""
        self.call_later(self._line_made, line, made)

    def _line_made(self, line: Line, tensor: str) -> None:
        if line == self._line[0]:
            self._line = line, tensor
            self.show_tensor()

    def show_tensor(self) -> None:
        """Show what :meth:`tensor` gives."""
        bar = self.query_one("#tokens-tensor", Lines)
        bar.set_strips([token_details.tensor(*self.tensor(), bar.content_size.width)])

    def action_card(self) -> None:
        if self.tokenizers.current is not None:
            lines = [strip.text for strip in token_details.card(self.tokenizers, self.token, PAGE)]
            title = f"token of {safe(self.tokenizers.current.name, lines=False)}"
            self.app.push_screen(Page(title, Content("\n".join(lines))))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_file(self) -> None:
        told = "Path of a text file. Ctrl+Z restores the current text."
        path = await ask_path(self.app, "Open", told, blank="enter a file name")
        if path is None:
            return
        try:
            text = await asyncio.to_thread(storage.read, path)
        except (OSError, ValueError, RuntimeError) as error:
            self.tell("The file could not be opened", reason(error))
            return
        self.editor.load(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_search(self) -> None:
        entry = self.tokenizers.current
        if entry is None or entry.lexicon is None:
            self.app.notify("the vocabulary is still loading", timeout=3)
            return
        text = await self.app.push_screen_wait(TokenSearch(entry))
        if text is not None:
            self.editor.insert(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_save_ids(self) -> None:
        views = self.tokenizers.views
        told = "A JSON file with text, ids and offsets in every vocabulary."
        proposed = storage.folder() / f"ids-{time.strftime('%Y%m%d-%H%M%S')}.json"
        path = await ask_path(self.app, "Save ids", told, str(proposed), blank="enter a file name")
        if path is None:
            return
        try:
            await asyncio.to_thread(storage.export, path, self.tokenizers.text, views)
        except (OSError, RuntimeError) as error:
            self.tell("The file could not be saved", reason(error))
        else:
            self.app.notify(safe(f"saved {path}", lines=False), markup=False, timeout=8)

    def action_copy_ids(self) -> None:
        entry = self.tokenizers.current
        if entry is not None and (view := entry.view) is not None:
            self._copy(lambda: str(view.ids))

    def action_copy_tensor(self) -> None:
        line = self.tensor()[1]
        if line and line != COMPUTING:
            self._copy(lambda: line)

    @on(Editor.Cut)
    def _cut(self, event: Editor.Cut) -> None:
        self._copy(lambda: event.text)

    @on(Editor.Full)
    def _full(self) -> None:
        self.app.notify(f"only the first {LIMIT:,} characters were pasted", severity="warning")

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self, make: Callable[[], str]) -> None:
        told, whole = await copy(self.app, await asyncio.to_thread(make), storage.folder() / "copied.txt")
        self.app.notify(told, markup=False, severity="information" if whole else "warning", timeout=8)


def reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return str(error)
