"""The Tokens pane: a text, how several vocabularies cut it, and everything about the token under the caret."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.worker import get_current_worker

from engine.lexicon import corpus
from engine.tokens import Token, Tokenized, tokenize
from tui import tokencard, tokencolours, tokensamples, tokenstore, units
from tui.actions import bindings
from tui.dialogs import Entry
from tui.lines import Lines
from tui.panes.pane import Pane, UsePrompt
from tui.text import safe
from tui.tokeneditor import LIMIT, TokenEditor
from tui.tokenrows import Look, Sheet, short
from tui.tokensearch import TokenSearch
from tui.tokenstudy import Study
from tui.tokenview import TokenRows

SAVE_AFTER = 1.0  # seconds without a key after which the text is kept
LARGE = 100_000  # characters
WAIT, WAIT_LARGE = 0.03, 0.25  # seconds without a key after which a text is tokenized, and one that is large
CLIPBOARD = 70_000  # bytes; common terminals drop more without a word
BROAD = 110  # columns from which the card stands beside the rows
GUTTER = 10  # cells of the names before the rows
MOST = 6  # vocabularies side by side
_TITLE = Style.parse("bold")
_FOCUS = Style.parse("bold reverse")
_QUIET = Style.parse("bright_black")


class TokensPane(Pane):
    """Holds the text and the vocabularies. Whatever takes time happens in threads; what comes too late is dropped."""

    WORKS = True
    ABOUT = (
        (
            "What the rows show",
            "Each row is the same text in one vocabulary; every character stands in the same columns in all of them. "
            "Coloured spans are tokens, the bright one is the caret's. Text without a colour belongs to no token "
            "(WordPiece drops spaces). Red is unknown to the vocabulary, violet a special token, ┊ stands for a token "
            "that holds only the last bytes of the character before it. Under the spans are the ids; under "
            "single characters they are written downwards.\n",
        ),
        (
            "What the table counts",
            "Tokens, characters per token, tokens unknown, code points that more than one token is needed for, and "
            "ref: tokens per character here, divided by the same for the reference text (an English page until f "
            "takes another). ×1.60 says that this text costs 60% more tokens than the reference, for as much text.\n",
        ),
        (
            "What is kept",
            "The text is kept a second after you stop typing, with the vocabularies, and is there at the next start. "
            "Saved ids, what was copied and the text lie under tokens/ in LLMLAB_HOME.",
        ),
    )
    BINDINGS = bindings("tokens")
    SCOPED_CSS = False
    DEFAULT_CSS = """
    TokensPane { height: 1fr; }
    #tokens-body { height: 1fr; layout: vertical; }
    #tokens-main { height: 1fr; }
    #tokens-side { height: 9; layout: horizontal; background: $surface; }
    .tokens-title { height: 1; background: $panel; }
    #tokens-editor { height: 5; margin: 0 1; }
    #tokens-rows { height: 1fr; margin: 0 1; }
    #tokens-counts { width: 46; height: 100%; padding: 0 1; }
    #tokens-card { width: 1fr; height: 100%; padding: 0 1; }
    #tokens-tensor { height: 1; padding: 0 1; background: $surface; }
    TokensPane.-broad #tokens-body { layout: horizontal; }
    TokensPane.-broad #tokens-side { width: 46; height: 100%; layout: vertical; }
    TokensPane.-broad #tokens-main { width: 1fr; height: 100%; }
    TokensPane.-broad #tokens-counts { width: 100%; height: auto; margin-bottom: 1; }
    TokensPane.-broad #tokens-card { width: 100%; height: 1fr; }
    .-high #tokens-editor { height: 8; }
    .-low #tokens-editor { height: 3; }
    .-low #tokens-side { height: 7; }
    .-narrow #tokens-counts { display: none; }
    .-narrow #tokens-side { height: 5; }
    .-narrow #tokens-editor { height: 3; }
    """

    class Loaded(Message):
        """A tokenizer was found, or was not."""

        def __init__(self, study: Study) -> None:
            super().__init__()
            self.study = study

    class Learnt(Message):
        """More is known about a vocabulary."""

    class Made(Message):
        """A text has been tokenized in every vocabulary."""

        def __init__(self, version: int, text: str, views: list[Tokenized]) -> None:
            super().__init__()
            self.version, self.text, self.views = version, text, views

    def __init__(self) -> None:
        super().__init__(id="tokens")
        self.studies: list[Study] = []
        self.primary = 0
        self._ids, self._marks = True, True
        self._text = ""
        self._sheet: Sheet | None = None
        self._index: int | None = None
        self._reference, self._reference_name = tokensamples.ENGLISH, "a page of English"
        self._example = -1
        self._wait: Timer | None = None
        self._keep: Timer | None = None
        self._behind = False

    def compose(self) -> ComposeResult:
        with Container(id="tokens-body"):
            with Container(id="tokens-main"):
                yield Lines(id="tokens-title", classes="tokens-title")
                yield TokenEditor(id="tokens-editor")
                yield Lines(id="tokens-status", classes="tokens-title")
                yield TokenRows(id="tokens-rows")
            with Container(id="tokens-side"):
                yield Lines(id="tokens-counts")
                yield Lines(id="tokens-card")
        yield Lines(id="tokens-tensor")

    def on_mount(self) -> None:
        self.watch(self.app, "theme", self._new_look, init=False)
        desk = tokenstore.restore()
        self._ids, self._marks = desk.ids, desk.marks
        self.studies = [Study(name) for name in desk.names]
        self.editor.marks = False
        self.editor.load(desk.text, desk.caret)
        for study in self.studies:
            self._load(study)
        self._changed()

    # -- the shell's questions ---------------------------------------------------------------------------------------

    def arrive(self) -> None:
        self.editor.focus()
        self._draw()

    def take(self, text: str) -> None:
        self.editor.load(text)

    def start(self) -> None:
        self.post_message(UsePrompt(self.editor.buffer.text))

    # -- parts -------------------------------------------------------------------------------------------------------

    @property
    def editor(self) -> TokenEditor:
        """Where the text is typed."""
        return self.query_one(TokenEditor)

    @property
    def rows(self) -> TokenRows:
        """Where its tokens are shown."""
        return self.query_one(TokenRows)

    @property
    def ready(self) -> list[Study]:
        """The vocabularies that are loaded and have a view of the text shown."""
        return [study for study in self.studies if study.view is not None]

    @property
    def study(self) -> Study | None:
        """The vocabulary whose card is shown and whose tokens the arrows walk over."""
        ready = self.ready
        return ready[min(self.primary, len(ready) - 1)] if ready else None

    @property
    def token(self) -> Token | None:
        """The caret's token in that vocabulary."""
        study = self.study
        if study is None or study.view is None:
            return None
        return study.view.token(self._index) if self._index is not None else self._under(study.view)

    # -- loading and tokenizing --------------------------------------------------------------------------------------

    @work(thread=True, group="tokenizers", exit_on_error=False)
    def _load(self, study: Study) -> None:
        study.load()
        self.post_message(self.Loaded(study))

    @on(Loaded)
    def _loaded(self, event: Loaded) -> None:
        if event.study in self.studies:
            self._changed()
            self._learn(event.study, self._reference)

    @work(thread=True, group="learning", exit_on_error=False)
    def _learn(self, study: Study, reference: str) -> None:
        worker = get_current_worker()
        study.compare(reference)
        self.post_message(self.Learnt())
        study.learn(lambda: worker.is_cancelled)
        self.post_message(self.Learnt())

    @on(Learnt)
    def _learnt(self) -> None:
        self._draw()

    @on(TokenEditor.Changed)
    def _changed(self) -> None:
        """Tokenize once the keys rest; what was on its way is no longer wanted."""
        self._index = None
        self._behind = True
        for timer in (self._wait, self._keep):
            if timer is not None:
                timer.stop()
        large = len(self.editor.buffer.text) > LARGE
        self._wait = self.set_timer(WAIT_LARGE if large else WAIT, self._retokenize)
        self._keep = self.set_timer(SAVE_AFTER, self._save)
        self._titles()

    def _retokenize(self) -> None:
        self._tokenize(self.editor.buffer.version, self.editor.buffer.text, list(self.studies))

    @work(thread=True, exclusive=True, group="tokenize", exit_on_error=False)
    def _tokenize(self, version: int, text: str, studies: list[Study]) -> None:
        worker = get_current_worker()
        views: list[Tokenized] = []
        for study in studies:
            if study.tokenizer is None:
                continue
            view = tokenize(study.tokenizer, text, study.view, stale=lambda: worker.is_cancelled)
            if view is None:
                return
            views.append(view)
        if not worker.is_cancelled:
            self.post_message(self.Made(version, text, views))

    @on(Made)
    def _made(self, event: Made) -> None:
        by_tokenizer = {view.tokenizer: view for view in event.views}
        if event.version != self.editor.buffer.version:
            return
        for study in self.studies:
            if study.tokenizer is not None:
                study.view = by_tokenizer.get(study.tokenizer)
        self._text, self._behind, self._sheet = event.text, False, None
        self._draw()

    # -- drawing -----------------------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= BROAD, "-broad")
        self.call_after_refresh(self._new_look)

    def _new_look(self) -> None:
        self._sheet = None
        self._draw()

    def _draw(self) -> None:
        """Show everything that depends on the caret."""
        if not self.is_attached or not self.rows.size.width:
            return
        if self._sheet is None:
            theme = self.app.current_theme
            look = Look(
                max(8, self.rows.size.width - GUTTER),
                GUTTER,
                self._ids,
                self._marks,
                tokencolours.palette(theme.name, dark=theme.dark, no_colour=self.app.no_color),
            )
            views = [study.view for study in self.ready if study.view is not None]
            names = [short(safe(study.name, lines=False), GUTTER - 1) for study in self.ready]
            self._sheet = Sheet(self._text, views, names, look)
        token = self.token
        place = min(self.editor.buffer.caret, len(self._text))
        current = [self._beside(study, token) for study in self.ready]
        self.rows.show(self._sheet, place, current, self._said())
        self.editor.mark((token.start, token.end) if token is not None and not self._behind else (0, 0))
        self._side(token)
        self._titles()

    def _side(self, token: Token | None) -> None:
        study = self.study
        counts, card = self.query_one("#tokens-counts", Lines), self.query_one("#tokens-card", Lines)
        if study is None:
            counts.set_strips([])
            card.set_strips([])
            self.query_one("#tokens-tensor", Lines).set_strips([])
            return
        number = self.ready.index(study)
        inside = counts.content_size.width or 42
        lines = tokencard.counts(self.ready, number, self._reference_name, inside)
        if self.has_class("-broad"):
            counts.styles.height = len(lines)
        counts.set_strips(lines)
        card.set_strips(tokencard.card(study, token, self._text, max(20, card.content_size.width)))
        label, line = self.tensor
        bar = self.query_one("#tokens-tensor", Lines)
        room = max(8, bar.content_size.width - cell_len(label) - 2)
        shown = line.replace("\n", " ") if cell_len(line) <= room else line.replace("\n", " ")[: room - 1] + "…"
        bar.set_strips([_strip((f"{label}  ", _QUIET), (shown, Style.null()))])

    def _titles(self) -> None:
        buffer, editing = self.editor.buffer, self.editor.has_focus
        line = buffer.text.count("\n", 0, buffer.caret) + 1
        column = buffer.caret - buffer.line_start() + 1
        where = f"line {line:,}, column {column:,}"
        hint = "Esc: walk over tokens" if editing else "e: edit, ←→: walk over tokens"
        self.query_one("#tokens-title", Lines).set_strips(
            [
                _strip(
                    (" Text ", _FOCUS if editing else _TITLE),
                    (" " + f"{len(buffer.text):,} characters, {where}   {hint}", _QUIET),
                )
            ]
        )
        study = self.study
        facts = f"{study.name}: {len(study.view):,} tokens" if study and study.view is not None else "no vocabulary yet"
        behind = "   tokenizing…" if self._behind and len(buffer.text) > LARGE else ""
        self.query_one("#tokens-status", Lines).set_strips(
            [
                _strip(
                    (" Tokens ", _FOCUS if self.rows.has_focus else _TITLE),
                    (" " + safe(facts, lines=False) + behind, _QUIET),
                )
            ]
        )

    def _said(self) -> list[tuple[str, bool]]:
        """What must be said above the rows: what loads, what could not be loaded, what to do with an empty text."""
        said = [(f"{study.name}: {study.problem}", True) for study in self.studies if study.problem]
        said += [(f"{s.name}: loading…", False) for s in self.studies if not s.problem and s.tokenizer is None]
        if not self._text and self.ready:
            said.append(
                ("Type or paste a text. Keys outside the text: l the lab's examples, s English, d Dante.", False)
            )
        if not self.studies:
            said.append(
                ("No vocabulary. a adds one: gpt2, wordpiece, bundled, a run, a path, a name on the Hub.", False)
            )
        return said

    def _under(self, view: Tokenized) -> Token | None:
        """The token that holds the caret's character, or at the end of the text the last one."""
        caret, end = self.editor.buffer.caret, view.counts.characters
        index = view.at(min(caret, max(0, end - 1)))
        if index is None:
            return None
        token = view.token(index)
        return token if token.start <= min(caret, max(0, end - 1)) else None

    def _beside(self, study: Study, token: Token | None) -> Token | None:
        """What is highlighted in the row of a vocabulary."""
        if study.view is None:
            return None
        return token if study is self.study else self._under(study.view)

    @property
    def tensor(self) -> tuple[str, str]:
        """What ``return_tensors="pt"`` gives for the caret's line as a text of its own, and what to call it."""
        study = self.study
        if study is None or study.tokenizer is None or study.view is None:
            return "", ""
        if "\n" not in self._text:
            return "tensor", study.view.tensor_line()
        caret = min(self.editor.buffer.caret, len(self._text))
        start = self._text.rfind("\n", 0, caret) + 1
        found = self._text.find("\n", caret)
        line = self._text[start : len(self._text) if found < 0 else found]
        view = tokenize(study.tokenizer, line)
        return "this line alone", view.tensor_line() if view is not None else ""

    # -- the caret ---------------------------------------------------------------------------------------------------

    @on(TokenEditor.Moved)
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

    def action_edit(self) -> None:
        """Into the text."""
        self.editor.focus()

    def action_walk(self, step: int) -> None:
        """To the next token or the one before, also within a code point."""
        study, token = self.study, self.token
        if study is None or study.view is None or not len(study.view):
            return
        if token is None:
            near = study.view.at(self.editor.buffer.caret)
            index = len(study.view) - 1 if near is None else near if step > 0 else max(0, near - 1)
        else:
            index = max(0, min(token.index + step, len(study.view) - 1))
        self._index = index
        self.editor.go_to(study.view.token(index).start)
        self._draw()

    def action_line(self, step: int) -> None:
        """Rows down or up."""
        self._go(self.rows.away(step))

    def action_page(self, step: int) -> None:
        """A screen of rows down or up."""
        self._go(self.rows.away(step * self.rows.page))

    def action_ends(self, last: int) -> None:
        """The first token or the last."""
        self._go(len(self._text) if last else 0)

    def action_leave_text(self) -> None:
        """Out of the text, to its tokens."""
        self.rows.focus()

    # -- texts -------------------------------------------------------------------------------------------------------

    def action_lab(self) -> None:
        """The lab's five examples, a line each."""
        self.editor.load("\n".join(tokensamples.LAB))

    def action_english(self) -> None:
        """A page of English."""
        self.editor.load(tokensamples.ENGLISH)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_dante(self) -> None:
        """Some tercets of the corpus at hand."""
        name, text, _ = await asyncio.to_thread(corpus)
        self.editor.load(tokensamples.verses(text))
        self.app.notify(f"from {name}", timeout=3)

    def action_reference(self) -> None:
        """Measure other texts against this one."""
        self._reference, self._reference_name = self.editor.buffer.text, "the text taken"
        for study in self.studies:
            self._learn(study, self._reference)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_file(self) -> None:
        """A file into the editor."""
        path = await self.app.push_screen_wait(
            Entry("Open", "A text file. What is in the editor now comes back with Ctrl+Z.", "", _named)
        )
        if path is None:
            return
        try:
            text = await asyncio.to_thread(tokenstore.read, Path(path).expanduser())
        except (OSError, ValueError, RuntimeError) as error:
            self.tell("It cannot be opened", _reason(error))
            return
        self.editor.load(text)

    # -- vocabularies ------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_add(self) -> None:
        """Another vocabulary beside the others."""
        if len(self.studies) >= MOST:
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

    def add(self, name: str) -> None:
        """Show one more vocabulary; one that failed before is tried again."""
        self.studies = [study for study in self.studies if study.name != name or not study.problem]
        if any(study.name == name for study in self.studies):
            self.app.notify(safe(f"{name} is there already", lines=False), markup=False)
            return
        study = Study(name)
        self.studies.append(study)
        self._load(study)
        self._changed()
        self._draw()

    def action_remove(self) -> None:
        """Take a vocabulary away: one that could not be loaded, else the one whose card is shown."""
        gone = next((study for study in self.studies if study.problem), self.study)
        if gone is None:
            return
        self.studies.remove(gone)
        self.primary = max(0, min(self.primary, len(self.ready) - 1))
        self._changed()
        self._new_look()

    def action_next_vocabulary(self) -> None:
        """The card and the arrows go to the next vocabulary."""
        if ready := self.ready:
            self.primary = (min(self.primary, len(ready) - 1) + 1) % len(ready)
            self._index = None
            self._draw()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_search(self) -> None:
        """Look for entries of the vocabulary."""
        study = self.study
        if study is None or study.lexicon is None:
            self.app.notify("the vocabulary is still being read", timeout=3)
            return
        text = await self.app.push_screen_wait(TokenSearch(study))
        if text is not None:
            self.editor.insert(text)

    # -- look --------------------------------------------------------------------------------------------------------

    def action_ids(self) -> None:
        """Ids under the spans, or not."""
        self._ids = not self._ids
        self._changed_look()

    def action_marks(self) -> None:
        """Spaces and tabs visible, or not."""
        self._marks = not self._marks
        self._changed_look()

    def _changed_look(self) -> None:
        self._new_look()
        self._save()

    # -- out of the pane ---------------------------------------------------------------------------------------------

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_save_ids(self) -> None:
        """Write text, ids and offsets of every vocabulary as JSON."""
        views = [study.view for study in self.ready if study.view is not None]
        path = await self.app.push_screen_wait(
            Entry(
                "Save ids", "Text, ids and offsets in every vocabulary, as JSON.", str(tokenstore.export_path()), _named
            )
        )
        if path is None:
            return
        target = Path(path).expanduser()
        try:
            await asyncio.to_thread(tokenstore.export, target, self._text, views)
        except (OSError, RuntimeError) as error:
            self.tell("It cannot be saved", _reason(error))
        else:
            self.app.notify(safe(f"saved {target}", lines=False), markup=False, timeout=8)

    def action_copy_ids(self) -> None:
        """All ids to the clipboard."""
        study = self.study
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
            path = await asyncio.to_thread(tokenstore.copied, text)
        except OSError as error:
            self.app.notify(f"{told}; not kept: {_reason(error)}", markup=False, severity="warning")
        else:
            self.app.notify(safe(f"{told}; it is in {path}", lines=False), markup=False, timeout=8)

    @work(thread=True, exclusive=True, group="keep", exit_on_error=False)
    def _write(self, desk: tokenstore.Desk) -> None:
        try:
            tokenstore.save(desk)
        except OSError as error:
            reason = safe(f"the text is not kept: {_reason(error)}", lines=False)
            self.app.call_from_thread(self.app.notify, reason, severity="warning", markup=False)

    def _save(self) -> None:
        buffer = self.editor.buffer
        names = tuple(study.name for study in self.studies)
        self._write(tokenstore.Desk(buffer.text, buffer.caret, names, self._ids, self._marks))


def _named(text: str) -> str:
    return "" if text.strip() else "give a name"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return str(error)


def _strip(*parts: tuple[str, Style]) -> Strip:
    return Strip([Segment(text, style) for text, style in parts])
