"""The Tokens pane: a text, how several vocabularies cut it, and everything about the token under the caret."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Sequence
from functools import partial

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer
from textual.worker import get_current_worker

from engine.lab.tokens import EXAMPLES
from engine.tokenization.encoding import NoTokenizer
from engine.tokenization.lexicon import corpus
from engine.tokenization.spans import Tokenized, tokenize
from tui import themes
from tui.background import FileWriter
from tui.hints import Hint
from tui.pane import UsePrompt, bindings
from tui.text import safe
from tui.tokens import hints, palette, samples, storage, token_details
from tui.tokens.aligned_text import AlignedText, Look, short
from tui.tokens.input_output import TokensInputOutput, reason
from tui.tokens.token_rows import TokenRows
from tui.tokens.tokenizer_list import TokenizerEntry, TokenizerList
from tui.widgets.dialogs import ask
from tui.widgets.editor import Editor
from tui.widgets.lines import Lines
from tui.widgets.styles import style_sheet

SAVE_AFTER = 1.0  # seconds without a key after which the text is kept
LARGE = 100_000  # characters
WAIT, WAIT_LARGE = 0.03, 0.25  # seconds without a key after which a text is tokenized, and one that is large
BROAD = 110  # columns from which the card stands beside the rows
GUTTER = 10  # cells of the names before the rows


class TokensPane(TokensInputOutput):
    """Holds the text and the vocabularies. Whatever takes time happens in threads; what comes too late is dropped."""

    WORKS = True
    ABOUT = tuple((row.name, row.figure) for row in hints.VIEWS["about"])
    BINDINGS = bindings("tokens")
    SCOPED_CSS = False
    DEFAULT_CSS = style_sheet(__file__)

    def __init__(self) -> None:
        super().__init__(id="tokens")
        self.tokenizers = TokenizerList()
        self.editor = Editor(id="tokens-editor")
        self._ids, self._marks = True, True
        self._aligned: AlignedText | None = None
        self._reference, self._reference_name = samples.ENGLISH, "a page of English"
        self._wait: Timer | None = None
        self._keep: Timer | None = None
        self._file_writer = FileWriter()
        self._unsaved = False
        self.behind = False
        """whether the rows show an older text than the editor"""

    def compose(self) -> ComposeResult:
        with Container(id="tokens-body"):
            with Container(id="tokens-main"):
                yield self.editor
                yield TokenRows(id="tokens-rows")
            with Container(id="tokens-side"):
                yield Lines(id="tokens-counts", classes="panel")
                yield Lines(id="tokens-card", classes="panel")
        yield Lines(id="tokens-tensor")

    def on_mount(self) -> None:
        self.watch(self.app, "theme", self._new_look, init=False)
        state = storage.restore()
        self._ids, self._marks = state.ids, state.marks
        self.tokenizers.entries = [TokenizerEntry(name) for name in state.names]
        self.editor.load(state.text, state.caret)
        for entry in self.tokenizers.entries:
            self._load(entry)

    # -- the shell's questions ---------------------------------------------------------------------------------------

    def arrive(self) -> None:
        self.rows.focus()
        self._draw()

    def take(self, text: str) -> None:
        self.editor.load(text)

    def start(self) -> None:
        self.post_message(UsePrompt(self.editor.buffer.text))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("edit", "leave_text") and self.is_mounted:
            return self.editor.has_focus is (action == "leave_text")
        return True

    # -- loading and tokenizing --------------------------------------------------------------------------------------

    def _load(self, entry: TokenizerEntry) -> None:
        """In a thread that nobody waits for when the program is left: a network may take its time."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._find, entry), daemon=True, name="tokenizer").start()

    def _find(self, entry: TokenizerEntry) -> None:
        entry.load()
        with contextlib.suppress(RuntimeError):  # the screen is gone
            self.call_later(self._loaded, entry)

    def _loaded(self, entry: TokenizerEntry) -> None:
        if entry in self.tokenizers.entries:
            self._retokenize()
            self._learn(entry, self._reference)
            self._draw()

    @work(thread=True, group="learning", exit_on_error=False, description="learn")
    def _learn(self, entry: TokenizerEntry, reference: str) -> None:
        worker = get_current_worker()
        with contextlib.suppress(NoTokenizer):  # the card says less; the text itself may still be tokenized
            entry.compare(reference)
            self.call_later(self._draw)
            entry.learn(lambda: worker.is_cancelled)
        self.call_later(self._draw)

    @on(Editor.Changed)
    def _changed(self) -> None:
        """Tokenize once the keys rest; what was on its way is no longer wanted."""
        self._index = None
        self.behind = True
        large = len(self.editor.buffer.text) > LARGE
        for timer in (self._wait, self._keep):
            if timer is not None:
                timer.stop()
        self._wait = self.set_timer(WAIT_LARGE if large else WAIT, self._retokenize)
        self._unsaved = True
        self._keep = self.set_timer(SAVE_AFTER, self._save)
        self._titles()

    def _retokenize(self) -> None:
        self._tokenize(self.editor.buffer.version, self.editor.buffer.text, list(self.tokenizers.entries))

    @work(thread=True, exclusive=True, group="tokenize", exit_on_error=False, description="tokenize")
    def _tokenize(self, version: int, text: str, entries: list[TokenizerEntry]) -> None:
        worker = get_current_worker()
        views: list[Tokenized] = []
        for entry in entries:
            if entry.tokenizer is None:
                continue
            try:
                view = tokenize(entry.tokenizer, text, entry.view, stale=lambda: worker.is_cancelled)
            except NoTokenizer as error:
                entry.problem = str(error)
                continue
            if view is None:
                return
            entry.problem = ""
            views.append(view)
        if not worker.is_cancelled:
            self.call_later(self._made, version, text, views)

    def _made(self, version: int, text: str, views: list[Tokenized]) -> None:
        """The text has been tokenized in every vocabulary."""
        if version == self.editor.buffer.version:
            self.tokenizers.put(text, views)
            self.behind, self._aligned = False, None
            self._draw()

    # -- drawing -----------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> TokenRows:
        """Where the tokens are shown."""
        return self.query_one(TokenRows)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= BROAD, "-broad")
        self.call_after_refresh(self._new_look)

    def _new_look(self) -> None:
        self._aligned = None
        self._draw()

    def _draw(self) -> None:
        """Show everything that depends on the caret."""
        width = self.rows.size.width if self.is_attached else 0
        if not width:
            return
        tokenizers, caret, token = self.tokenizers, self.editor.buffer.caret, self.token
        if self._aligned is None:
            colours = palette.PALETTES[themes.colours_of(self.app)]
            look = Look(max(8, width - GUTTER), GUTTER, self._ids, self._marks, colours)
            names = [short(entry.name, GUTTER - 1) for entry in tokenizers.ready]
            self._aligned = AlignedText(tokenizers.text, tokenizers.views, names, look)
        current = [
            token if entry is tokenizers.current else tokenizers.beside(entry, token, caret)
            for entry in tokenizers.ready
        ]
        bold = tokenizers.ready.index(tokenizers.current) if tokenizers.current is not None else 0
        self.rows.show(self._aligned, min(caret, len(tokenizers.text)), current, bold, tokenizers.said())
        self.editor.mark((token.start, token.end) if token is not None and not self.behind else (0, 0))
        counts, card = (self.query_one(f"#tokens-{name}", Lines) for name in ("counts", "card"))
        table = token_details.counts(tokenizers, self._reference_name, counts.content_size.width)
        height = str(len(table) + 2) if self.has_class("-broad") else "100%"
        if str(counts.styles.height) != height:  # setting it lays the screen out anew
            counts.styles.height = height
        counts.entitle(token_details.size_of(tokenizers))
        counts.set_strips(table)
        card.entitle(token_details.card_title(tokenizers, token))
        card.set_strips(token_details.card(tokenizers, token, card.content_size.width))
        self.show_tensor()
        self._titles()

    def _titles(self) -> None:
        buffer = self.editor.buffer
        late = self.behind and len(buffer.text) > LARGE
        self.editor.entitle(token_details.title(buffer), "Esc leaves" if self.editor.has_focus else "e edits")
        self.rows.entitle("tokens", "tokenizing…" if late else "←→ token · k vocabulary")

    def explain(self, view: Lines) -> Sequence[Hint]:
        match view.id:
            case "tokens-editor":
                return hints.text(self.editor.buffer)
            case "tokens-rows":
                return hints.rows(self.tokenizers, self.token, self._ids)
            case "tokens-counts":
                return hints.counts(self.tokenizers)
            case "tokens-card":
                return hints.card(self.tokenizers, self.token, *view.content_size)
        return hints.tensor(*self.tensor(), view.content_size.width)

    # -- the caret ---------------------------------------------------------------------------------------------------

    @on(Editor.Moved)
    def _moved(self) -> None:
        self._index = None
        self._draw()

    @on(TokenRows.Pointed)
    def _pointed(self, event: TokenRows.Pointed) -> None:
        self._go(event.offset)

    def _go(self, offset: int) -> None:
        self._index = None
        self.editor.go_to(offset)
        self._draw()

    def on_descendant_focus(self) -> None:
        self._titles()
        self.refresh_bindings()

    def action_edit(self) -> None:
        self.editor.focus()

    def action_leave_text(self) -> None:
        self.rows.focus()

    def action_walk(self, step: int) -> None:
        """To the next token or the one before, also within a code point."""
        entry, token = self.tokenizers.current, self.token
        if entry is None or entry.view is None or not len(entry.view):
            return
        if token is None:
            near = entry.view.at(self.editor.buffer.caret)
            index = len(entry.view) - 1 if near is None else near if step > 0 else max(0, near - 1)
        else:
            index = max(0, min(token.index + step, len(entry.view) - 1))
        self._index = index
        self.editor.go_to(entry.view.token(index).start)
        self._draw()

    def action_line(self, step: int) -> None:
        self._go(self.rows.away(step))

    def action_page(self, step: int) -> None:
        self._go(self.rows.away(step * self.rows.page))

    def action_ends(self, last: int) -> None:
        self._go(len(self.tokenizers.text) if last else 0)

    # -- texts and vocabularies --------------------------------------------------------------------------------------

    def action_lab(self) -> None:
        self.editor.load("\n".join(EXAMPLES))

    def action_english(self) -> None:
        self.editor.load(samples.ENGLISH)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_dante(self) -> None:
        name, text, _ = await asyncio.to_thread(corpus)
        self.editor.load(samples.verses(text))
        if name == "dantesque":
            self.app.notify("The Inferno is not cached: this verse was sampled from the bundled model", timeout=8)
        else:
            self.app.notify(f"from {name}", timeout=3)

    def action_reference(self) -> None:
        self._reference, self._reference_name = self.editor.buffer.text, "the text set with f"
        for entry in self.tokenizers.entries:
            self._learn(entry, self._reference)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_add(self) -> None:
        """Show one more vocabulary; one that failed before is tried again."""
        if len(self.tokenizers.entries) >= storage.MOST:
            self.app.notify(f"at most {storage.MOST} vocabularies; z removes one", severity="warning")
            return
        told = (
            "gpt2, wordpiece, smollm2, bundled, a run (name or latest), a folder with tokenizer.json, or a name on the "
            "Hugging Face Hub."
        )
        given = await ask(self.app, "Add a vocabulary", told, blank="enter a name")
        if given is None:
            return
        name = given.strip()
        entries = [entry for entry in self.tokenizers.entries if entry.name != name or not entry.problem]
        if any(entry.name == name for entry in entries):
            self.app.notify(safe(f"{name} is already listed", lines=False), markup=False)
            return
        self.tokenizers.entries = [*entries, TokenizerEntry(name)]
        self._load(self.tokenizers.entries[-1])
        self._changed_look()

    def action_remove(self) -> None:
        if self.tokenizers.remove():
            self._index = None
            self._changed_look()

    def action_next_vocabulary(self) -> None:
        token = self.token
        self.tokenizers.next()
        if self.tokenizers.current is not None:
            found = self.tokenizers.beside(self.tokenizers.current, token, self.editor.buffer.caret)
            self._index = found.index if found is not None else None
        self._draw()

    def action_ids(self) -> None:
        self._ids = not self._ids
        self._changed_look()

    def action_marks(self) -> None:
        self._marks = not self._marks
        self._changed_look()

    def _changed_look(self) -> None:
        self._new_look()
        self._save()

    # -- what is kept ------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        buffer = self.editor.buffer
        self._unsaved = False
        names = tuple(entry.name for entry in self.tokenizers.entries)
        state = storage.TokensState(buffer.text, buffer.caret, names, self._ids, self._marks)
        self._file_writer.soon(partial(self._write, state))

    def _write(self, state: storage.TokensState) -> None:
        try:
            storage.save(state)
        except OSError as error:
            told = safe(f"the text could not be saved: {reason(error)}", lines=False)
            self.app.call_from_thread(self.app.notify, told, severity="warning", markup=False)

    async def on_unmount(self) -> None:
        """What was typed in the last second is kept too."""
        if self._unsaved:
            self._save()
        await self._file_writer.close()
