"""The Tokens pane: typing, walking, looking up, keeping; every state it can be in; texts that break terminals."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fakemodel import FakeModels
from pseudoterminal import Terminal
from stage import HOSTILE, SIZES, answer, at_sizes, controls, count_glyphs, shown, shows, until, view
from textual.events import MouseDown, Paste
from textual.pilot import Pilot
from textual.widgets import Input

from checkpoints import store
from engine.lab.tokens import EXAMPLES
from engine.tokenization import lexicon
from engine.tokenization.encoding import Encoding, Tokenizer
from engine.tokenization.find import load
from engine.tokenization.spans import tensor_line
from tui.app import LabApp
from tui.pane import UsePrompt
from tui.tokens import pane as pane_module
from tui.tokens import samples, storage, tokenizer_list
from tui.tokens.pane import TokensPane
from tui.tokens.search import TokenSearch
from tui.widgets.editor import Editor
from tui.widgets.line_table import TableView

LAB = ([15496, 2159], [31373, 2159], [23748, 2159], [15496, 10603], [15496, 2159, 220])


@pytest.fixture(autouse=True)
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vocabularies do not change from test to test: each is read once for all of them."""
    monkeypatch.setattr(tokenizer_list, "load", _load)
    monkeypatch.setattr(tokenizer_list, "occurrences", _occurrences)
    monkeypatch.setattr(tokenizer_list, "Lexicon", _lexicon)
    monkeypatch.setattr(tokenizer_list, "Merges", _Merges)


_load = functools.cache(tokenizer_list.load)
_lexicon = functools.cache(lexicon.Lexicon)
_counted: dict[Tokenizer, Any] = {}


def _occurrences(tokenizer: Tokenizer, *corpus: str, stale: Callable[[], bool]) -> Any:
    if tokenizer not in _counted:
        _counted[tokenizer] = lexicon.occurrences(tokenizer, *corpus)
    return _counted[tokenizer]


class _Merges:
    of = staticmethod(functools.cache(lexicon.Merges.of))


@contextlib.asynccontextmanager
async def opened(
    size: tuple[int, int] = (120, 40), names: tuple[str, ...] | None = None, text: str = ""
) -> AsyncIterator[tuple[Pilot[Any], TokensPane]]:
    """The pane on the screen, its vocabularies loaded and everything learnt that it will learn."""
    if names is not None or text:
        storage.save(storage.TokensState(text, 0, names if names is not None else storage.DEFAULTS))
    app = LabApp()
    async with app.run_test(size=size, notifications=True) as pilot:
        app.action_show_pane("tokens")
        await until(pilot, lambda: bool(app.query(TokensPane)) and app.focused is not None and app.here.id == "tokens")
        pane = app.query_one(TokensPane)
        await until(pilot, lambda: all(entry.problem or entry.learnt for entry in pane.tokenizers.entries))
        await settled(pilot, pane)
        pane.editor.focus()
        await until(pilot, lambda: pane.editor.has_focus)
        yield pilot, pane


async def settled(pilot: Pilot[Any], pane: TokensPane) -> None:
    """Wait until the rows show the editor's text."""
    loaded = [entry for entry in pane.tokenizers.entries if entry.tokenizer is not None]
    await until(
        pilot,
        lambda: (
            not pane.behind
            and pane.tokenizers.text == pane.editor.buffer.text
            and all(entry.view is not None for entry in loaded)
        ),
    )
    await pilot.pause()


async def put(pilot: Pilot[Any], pane: TokensPane, text: str) -> None:
    """Paste ``text`` in place of what is there."""
    pane.editor.load("")
    pane.editor.focus()
    pane.editor.post_message(Paste(text))
    await until(pilot, lambda: bool(pane.editor.buffer.text) or not text)
    await settled(pilot, pane)


async def test_what_is_typed_is_tokenized_in_every_vocabulary() -> None:
    async with opened() as (pilot, pane):
        await pilot.press("H", "e", "l", "l", "o", "space", "q", "W", "o", "r", "l", "d")
        for _ in range(5):
            await pilot.press("left")
        await pilot.press("backspace", "end")
        await settled(pilot, pane)
        assert pane.editor.buffer.text == "Hello World"  # q and the others are letters here
        rows = view(pilot.app, "tokens-rows")  # type: ignore[arg-type]
        assert "Hello ·World" in rows
        for name in ("gpt2", "wordpiece", "bundled"):
            assert name in rows
        for ident in load("gpt2").encode("Hello World").ids + load("wordpiece").encode("Hello World").ids:
            assert str(ident) in rows
        await shows(pilot, "tensor([[15496,  2159]])", "11 characters, 11 bytes")


async def test_the_labs_examples_are_one_key_and_give_the_labs_ids() -> None:
    async with opened(names=("gpt2",)) as (pilot, pane):
        await pilot.press("escape", "l")
        await settled(pilot, pane)
        rows = view(pilot.app, "tokens-rows")  # type: ignore[arg-type]
        lines = [line.split() for line in rows.splitlines()]
        told = [[int(word) for word in line if word != "198"] for line in lines if line and line[0].isdigit()]
        assert tuple(told) == LAB
        for number, ids in enumerate(LAB):
            await pilot.press("e", "ctrl+home", *["down"] * number)
            await shows(pilot, f"this line  {tensor_line(ids)}")
            assert pane.tokenizers.current is not None
            assert load("gpt2").encode(EXAMPLES[number]).ids == ids


async def test_walking_goes_from_token_to_token_with_its_card() -> None:
    async with opened(names=("gpt2", "wordpiece")) as (pilot, pane):
        await put(pilot, pane, "è Hello 😀 World")
        await pilot.press("escape", "home")
        ids = load("gpt2").encode("è Hello 😀 World").ids
        for ident in ids:
            assert pane.token is not None
            assert pane.token.id == ident
            card = view(pilot.app, "tokens-card")  # type: ignore[arg-type]
            assert f"id {ident} " in card
            await pilot.press("right")
        assert pane.token.index == len(ids) - 1  # and stays there
        assert "ĠW+orld→ĠWorld" in view(pilot.app, "tokens-card")  # type: ignore[arg-type]
        await pilot.press("k")
        assert "✓ world" in view(pilot.app, "tokens-card")  # type: ignore[arg-type]
        await pilot.press("left")
        assert "not in the vocabulary" in view(pilot.app, "tokens-card")  # type: ignore[arg-type]
        await pilot.press("left")
        assert pane.token.id == load("wordpiece").encode("hello").ids[0]


async def test_the_whole_card_on_a_page_of_its_own() -> None:
    async with opened((60, 20), names=("gpt2",), text="Hello World") as (pilot, pane):
        await pilot.press("escape", "end", "space")
        await shows(pilot, "ĠW+orld→ĠWorld", "neighbours", "prefix", "0 in dantesque")
        await pilot.press("escape", "e", "space")
        assert pane.editor.buffer.text == "Hello World "


async def test_digits_change_panes_until_a_text_is_entered_and_escape_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeModels(monkeypatch)
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        for pane, key in (("tokens", "2"), ("generate", "3"), ("runs", "7")):
            await pilot.press(key)
            await until(pilot, lambda pane=pane: app.here.id == pane)
        for pane, key in (("tokens", "2"), ("generate", "3")):
            await pilot.press(key)
            await until(pilot, lambda pane=pane: app.here.id == pane)
            editor = app.query_one(f"#{pane} Editor", Editor)
            await shows(pilot, "e ")
            await pilot.press("e")
            await until(pilot, lambda editor=editor: editor.has_focus)
            await pilot.press("7")
            assert (app.here.id, editor.buffer.text) == (pane, "7")
            await shows(pilot, "Esc Leave the text")
            await pilot.press("escape", "7")
            await until(pilot, lambda: app.here.id == "runs")


async def test_letters_act_outside_the_text_only() -> None:
    async with opened(names=("gpt2",)) as (pilot, pane):
        await pilot.press("s", "i")
        await settled(pilot, pane)
        assert pane.editor.buffer.text == "si"
        await pilot.press("escape", "s")
        await settled(pilot, pane)
        assert pane.editor.buffer.text == samples.ENGLISH
        await pilot.press("e", "ctrl+z", "x")
        await settled(pilot, pane)
        assert "x" in pane.editor.buffer.text
        assert len(pane.editor.buffer.text) == 3


async def test_english_and_dante_compare() -> None:
    async with opened() as (pilot, pane):
        await pilot.press("escape", "s")
        await settled(pilot, pane)
        await until(pilot, lambda: view(pilot.app, "tokens-counts").count("×1.00") == 3)  # type: ignore[arg-type]
        await pilot.press("d")
        await until(pilot, lambda: pane.editor.buffer.text != samples.ENGLISH)
        await settled(pilot, pane)
        assert "verse was sampled" in shown(pilot.app)  # type: ignore[arg-type]
        gpt2 = pane.tokenizers.entries[0]
        ratio = gpt2.against_reference()
        assert ratio is not None
        assert ratio > 1.2
        assert f"×{ratio:.2f}" in view(pilot.app, "tokens-counts")  # type: ignore[arg-type]
        await pilot.press("f")
        await until(pilot, lambda: view(pilot.app, "tokens-counts").count("×1.00") == 3)  # type: ignore[arg-type]


async def test_every_size_shows_rows_and_card() -> None:
    async with opened(SIZES[1]) as (pilot, pane):
        await put(pilot, pane, "Hello World")
        async for size in at_sizes(pilot, [*SIZES, *reversed(SIZES)]):
            await shows(pilot, "·World", "15496", "token ", "tensor([[15496,")
            if size[0] >= 80:
                await shows(pilot, "11 characters, 11 bytes", "ch/tok")


async def test_themes_change_the_colours() -> None:
    async with opened(names=("gpt2",), text="Hello World") as (pilot, pane):
        seen = set()
        for theme in ("lab-dark", "lab-light", "lab-16"):
            pilot.app.theme = theme
            await pilot.pause()
            await until(pilot, lambda: pane._aligned is not None)
            styles = {one.style.bgcolor for one in pane.rows.render_line(0) if "World" in one.text and one.style}
            assert len(styles) == 1
            assert None not in styles
            seen |= styles
        assert len(seen) == 3


async def test_hostile_text_stays_text() -> None:
    text = HOSTILE + "\ud800\x9b2J\u2028 [/] [@click=app.quit]x[/] <|endoftext|>"
    async with opened(text=text) as (pilot, pane):
        await pilot.press("down", "end", "escape")
        for _ in range(25):
            await pilot.press("left")
            assert controls(pilot.app) == []  # type: ignore[arg-type]
        assert "PAYLOAD" in shown(pilot.app)  # type: ignore[arg-type]
        assert pane.tokenizers.text == text


async def test_texts_with_nothing_to_see() -> None:
    async with opened() as (pilot, pane):
        for text in ("", "\n\n\n", "\t \u3000\ud800"):
            await put(pilot, pane, text)
            await pilot.press("escape")
            for key in ("right", "left", "down", "up", "end", "home", "pagedown", "pageup", "k", "i", "w", "y"):
                await pilot.press(key)
            assert pane.tokenizers.text == text
            if not text:
                await shows(pilot, "type or paste a text")


async def test_a_tokenizer_that_cannot_be_had_says_so_and_the_rest_works() -> None:
    async with opened(names=("nobody/nothing", "gpt2"), text="Hello World") as (pilot, pane):
        await shows(pilot, "no tokenizer 'nobody/nothing'", "15496")
        await pilot.press("escape", "z")
        await settled(pilot, pane)
        assert "nobody" not in shown(pilot.app)  # type: ignore[arg-type]
        await pilot.press("z")
        await shows(pilot, "No vocabulary. a adds one")
        await pilot.press("right", "k", "v", "c", "y", "e", "x")
        assert pane.editor.buffer.text.startswith("x")


async def test_a_tokenizer_that_breaks_is_told_and_one_that_never_comes_keeps_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forever = threading.Event()

    def broken(name: str) -> Tokenizer:
        if name == "slow":
            forever.wait(60)
        if name == "broken":
            raise ZeroDivisionError("deep inside")
        return _load(name)

    monkeypatch.setattr(tokenizer_list, "load", broken)
    storage.save(storage.TokensState("Hello World", 0, ("slow", "broken", "gpt2")))
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_pane("tokens")
        await shows(pilot, "slow: loading", "ZeroDivisionError: deep inside", "15496")
    forever.set()  # the screen was left while it still loaded


async def test_adding_a_vocabulary() -> None:
    async with opened(names=("gpt2",), text="Hello") as (pilot, pane):
        await pilot.press("escape", "a")
        await answer(pilot, "bundled")
        await until(pilot, lambda: len(pane.tokenizers.ready) == 2)
        await shows(pilot, "bundled")
        await until(pilot, lambda: "bundled" in storage.restore().names)


async def test_search_types_the_token_that_was_chosen() -> None:
    async with opened(names=("gpt2",), text="Hello") as (pilot, pane):
        await pilot.press("escape", "end", "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, TokenSearch))
        pilot.app.screen.query_one(Input).value = "·world"
        await shows(pilot, "995", "Ġworldwide")
        await pilot.press("f8")
        await shows(pilot, "case matters")
        await until(pilot, lambda: "2159" not in shown(pilot.app))  # type: ignore[arg-type]
        await pilot.press("enter")
        await settled(pilot, pane)
        assert pane.editor.buffer.text == "Hello world"


async def test_a_token_is_chosen_in_the_list_by_keys_and_by_clicks() -> None:
    async with opened(names=("gpt2",), text="Hello") as (pilot, pane):
        for keys in ("escape", "end", "v"), ("down", "down", "enter"):
            await pilot.press(*keys)
            if keys[0] == "escape":
                await until(pilot, lambda: isinstance(pilot.app.screen, TokenSearch))
                await pilot.press("f8")  # case
                pilot.app.screen.query_one(Input).value = "·world"
                await shows(pilot, "id  spelled", "text", "in corpus", "Ġworlds")
                table = pilot.app.screen.query_one(TableView)
                ids = list(table.entries)
        assert len(ids) > 2
        await settled(pilot, pane)
        assert pane.tokenizers.views[0].ids[-1] == ids[1]
        await pilot.press("escape", "end", "v")
        await until(pilot, lambda: isinstance(pilot.app.screen, TokenSearch))
        pilot.app.screen.query_one(Input).value = "zzzzzzzzz"
        await shows(pilot, "0 found")
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, TokenSearch)  # nothing to choose
        await pilot.press("f8")
        pilot.app.screen.query_one(Input).value = "·world"
        await until(pilot, lambda: list(pilot.app.screen.query_one(TableView).entries) == ids)
        for _ in range(2):  # the first puts the cursor there
            await pilot.click(TableView, offset=(3, 3))
        await settled(pilot, pane)
        assert pane.tokenizers.views[0].ids[-1] == ids[2]


async def test_ids_and_spaces_can_be_hidden() -> None:
    async with opened(names=("gpt2",), text="Hello World") as (pilot, _):
        await pilot.press("escape", "i", "w")
        rows = view(pilot.app, "tokens-rows")  # type: ignore[arg-type]
        assert "Hello World" in rows
        assert "15496" not in rows
        await pilot.press("i", "w")
        assert "15496" in view(pilot.app, "tokens-rows")  # type: ignore[arg-type]


async def test_the_text_survives_a_death_and_comes_back() -> None:
    async with opened() as (pilot, pane):
        await put(pilot, pane, "kept \ud800 text")
        await until(pilot, lambda: storage.restore().text == "kept \ud800 text")
    async with opened() as (_, pane):
        assert pane.editor.buffer.text == "kept \ud800 text"


async def test_what_was_typed_just_before_leaving_is_kept() -> None:
    async with opened(names=("gpt2",)) as (pilot, _):
        await pilot.press(*"typed")
        await pilot.press("ctrl+q")
    assert storage.restore().text == "typed"


async def test_a_disk_that_refuses_is_told_and_the_text_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(target))

    async with opened(names=("gpt2",)) as (pilot, pane):
        monkeypatch.setattr(store, "replace_file", full)
        await put(pilot, pane, "Hello")
        await shows(pilot, "the text could not be saved")
        told, *_ = pilot.app._notifications
        assert told.message.endswith("desk.json: No space left on device")
        await pilot.press("escape", "c")
        await shows(pilot, "could not be saved")
        assert pane.editor.buffer.text == "Hello"


async def test_ids_are_saved_as_json(tmp_path: Path) -> None:
    async with opened(text="Hello World") as (pilot, _):
        await pilot.press("escape", "x")
        target = tmp_path / "new" / "ids.json"
        await answer(pilot, str(target))
        await until(pilot, target.exists)
        saved = json.loads(target.read_text("utf-8"))
        assert saved["text"] == "Hello World"
        assert [one["tokenizer"] for one in saved["tokenizers"]] == list(storage.DEFAULTS)
        for one in saved["tokenizers"]:
            assert one["ids"] == load(one["tokenizer"]).encode("Hello World").ids


async def test_copying_goes_to_the_terminal_and_to_a_file(home: Path) -> None:
    async with opened(names=("gpt2",), text="Hello World") as (pilot, _):
        path = home / "tokens" / "copied.txt"
        for key, text in (("c", "[15496, 2159]"), ("y", "tensor([[15496,  2159]])")):
            await pilot.press("escape", key)
            await until(pilot, lambda text=text: path.exists() and path.read_text("utf-8") == text)  # type: ignore[misc]
            await until(pilot, lambda text=text: pilot.app.clipboard == text)  # type: ignore[misc]  # after the file
            await shows(pilot, "copied", "copied.txt")


async def test_what_is_too_large_for_a_clipboard_is_only_written(home: Path) -> None:
    async with opened(names=("gpt2",), text="word " * 20_000) as (pilot, pane):
        await pilot.press("escape", "c")
        await shows(pilot, "too large for the terminal's clipboard", "copied.txt")
        assert pilot.app.clipboard == ""
        assert pane.tokenizers.current is not None
        assert pane.tokenizers.current.view is not None
        assert json.loads((home / "tokens" / "copied.txt").read_text()) == pane.tokenizers.current.view.ids


async def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x00\x01")
    (tmp_path / "large").write_bytes(b"x" * (storage.LARGEST + 1))
    async with opened(names=("gpt2",), text="mine") as (pilot, pane):
        await pilot.press("escape")
        for name, says in (("binary", "binary"), ("large", "8,000,001"), ("none", "No such file")):
            await pilot.press("o")
            await answer(pilot, str(tmp_path / name))
            await shows(pilot, "The file could not be opened", says)
            await pilot.press("escape")
        assert pane.editor.buffer.text == "mine"


async def test_a_file_is_opened_and_undo_brings_the_old_text_back(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes("perché\r\n".encode("latin-1"))
    async with opened(names=("gpt2",), text="mine") as (pilot, pane):
        await pilot.press("escape", "o")
        await answer(pilot, str(tmp_path / "old"))
        await until(pilot, lambda: pane.editor.buffer.text == "perché\n")
        await pilot.press("e", "ctrl+z")
        assert pane.editor.buffer.text == "mine"


async def test_start_sends_the_text_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(LabApp, "_use_prompt", _taking(sent))
    async with opened(names=("gpt2",), text="Nel mezzo") as (pilot, pane):
        monkeypatch.setattr(pane, "post_message", _seeing(sent, pane.post_message))
        await pilot.press("f5")
        await until(pilot, lambda: sent == ["Nel mezzo"])


def _taking(sent: list[str]) -> Callable[..., Any]:
    async def take(app: LabApp, event: UsePrompt) -> None:
        sent.append(event.text)

    return take


def _seeing(sent: list[str], post: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def see(message: Any) -> bool:
        if isinstance(message, UsePrompt):
            sent.append(message.text)
            return True
        return post(message)

    return see


async def test_a_text_from_elsewhere_is_taken() -> None:
    async with opened(names=("gpt2",)) as (pilot, pane):
        pane.take("Hello World")
        await settled(pilot, pane)
        assert "15496" in view(pilot.app, "tokens-rows")  # type: ignore[arg-type]


async def test_the_mouse_puts_the_caret() -> None:
    async with opened(names=("gpt2",), text="Hello World") as (pilot, pane):
        await pilot.click("#tokens-rows", offset=(2 + 10 + 8, 1))  # inside the border of the panel
        assert pane.token is not None
        assert pane.token.id == 2159
        await pilot.click("#tokens-editor", offset=(2 + 2, 1))
        assert pane.editor.buffer.caret == 2

        def press(y: int) -> None:
            pane.editor.post_message(MouseDown(pane.editor, 1, y, 0, 0, 1, False, False, False))

        press(-9)  # from inside the text to above it
        await pilot.pause()
        assert pane.editor.buffer.caret <= 2
        pane.editor.styles.height = pane.editor.styles.min_height = 0
        await pilot.pause()
        assert pane.editor.size.height == 0
        press(0)
        await pilot.pause()
        assert pilot.app.is_running


async def test_a_large_text_can_be_typed_into_before_it_is_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old results are dropped, the newest is shown, and it is the whole text's."""
    monkeypatch.setattr(pane_module, "WAIT_LARGE", 0.01)
    text = "Nel mezzo del cammin di nostra vita\n" * 12_000
    async with opened(names=("gpt2",)) as (pilot, pane):
        pane.editor.post_message(Paste(text))
        await until(pilot, lambda: pane.editor.buffer.text == text)
        for key in ("a", "b", "c"):
            await pilot.press(key)
        assert pane.editor.buffer.text == text + "abc"
        assert "abc" in view(pilot.app, "tokens-editor")  # type: ignore[arg-type]
        await settled(pilot, pane)
        assert pane.tokenizers.current is not None
        assert pane.tokenizers.current.view is not None
        first = pane.tokenizers.current.view
        assert first.ids == load("gpt2").encode(text + "abc").ids
        await pilot.press("ctrl+home", "X")
        await settled(pilot, pane)
        second = pane.tokenizers.current.view
        assert second.ids == load("gpt2").encode("X" + text + "abc").ids
        assert len(set(second.blocks) - set(first.blocks)) <= 2


async def test_what_does_not_fit_is_cut_off_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.widgets.editor.LIMIT", 10)
    async with opened(names=("gpt2",)) as (pilot, pane):
        await put(pilot, pane, "0123456789abc")
        assert pane.editor.buffer.text == "0123456789"
        await shows(pilot, "were pasted")


async def test_cut_and_paste_inside_the_editor() -> None:
    async with opened(names=("gpt2",), text="one two") as (pilot, pane):
        await pilot.press("ctrl+home", "ctrl+shift+right", "ctrl+x")
        await until(pilot, lambda: pilot.app.clipboard == "one")
        assert pane.editor.buffer.text == " two"
        await pilot.press("ctrl+a", "ctrl+w")
        assert pane.editor.buffer.text == ""


def test_on_a_real_terminal_it_shows_pastes_rests_and_sends_nothing_that_acts(home: Path) -> None:
    with Terminal(size=(80, 24)) as terminal:
        terminal.shows("Start training")
        terminal.press(b"2")
        terminal.shows("tokens", "ch/tok", "wordpiece")
        terminal.press(b"e")
        terminal.shows("Leave the text")
        terminal.press(b"\x1b[200~Hello World \x1b]0;PAYLOAD\x07[red]\x1b[201~")
        terminal.shows("·World", "15496", "2159", "PAYLOAD")
        terminal.settle(1.5)
        assert terminal.count(2.0) == 0
        assert b"\x1b]0;PAYLOAD" not in terminal.raw
        terminal.press(b"\x1b")
        terminal.shows("e Edit")
        terminal.press(b"c")
        terminal.shows("copied.txt")
        ids = (home / "tokens" / "copied.txt").read_bytes()
        assert b"\x1b]52;c;" + base64.b64encode(ids) in terminal.raw
        terminal.press(b"q")
        assert terminal.ended() == 0


async def test_a_tokenizer_that_breaks_on_a_text_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.BPE({"a": 0, "b": 1, " ": 2}, []))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(a|aa)+$"), "isolated")
    made.save(str(tmp_path / "tokenizer.json"))
    monkeypatch.chdir(tmp_path)
    async with opened(names=("gpt2", "./"), text="ab") as (pilot, pane):
        ours, theirs = pane.tokenizers.entries
        pane.editor.load("")
        pane.editor.post_message(Paste(f"x\n{'a' * 60}b"))  # the library panics on this one
        await until(pilot, lambda: bool(theirs.problem) and pane.tokenizers.text.startswith("x"))
        assert pane.tokenizers.ready == [ours]
        assert pane.tensor()[0]
        await shows(pilot, "its tokenizer fails on a text")
        await put(pilot, pane, "ab")
        assert (theirs.problem, pane.tokenizers.ready) == ("", [ours, theirs])


async def test_moving_in_a_megabyte_of_one_line_tokenizes_nothing_on_the_event_loop_and_lays_out_a_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_loop: list[int] = []
    line = "Nel mezzo del cammin di nostra vita " * 28_000

    async with opened(names=("gpt2",)) as (pilot, pane):
        kind, loop = type(pane.tokenizers.entries[0].tokenizer), threading.get_ident()
        encode: Any = kind.encode

        def counted(self: Tokenizer, text: str, **options: Any) -> Encoding:
            on_loop.extend([len(text)] if threading.get_ident() == loop else [])
            return encode(self, text, **options)  # type: ignore[no-any-return]

        monkeypatch.setattr(kind, "encode", counted)
        laid_out = count_glyphs(monkeypatch)
        await put(pilot, pane, f"{line}\nend")
        assert len(pane.tokenizers.text) > 1_000_000
        for key in ("left", "up", "up", "home", "left", "ctrl+left", "pageup", "right"):
            laid_out.clear()
            await pilot.press(key)
            await pilot.pause()
            assert laid_out.total() < 20_000
        expected = tensor_line(load("gpt2").encode(line).ids)
        await until(pilot, lambda: pane.tensor()[1] == expected)
        await pilot.press("x")
        await settled(pilot, pane)
        assert on_loop == [len(line)]  # that of this test
