"""The Generate pane with a model that writes what the test lets it write."""

from __future__ import annotations

import json
import string
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakemodel import FakeModels
from rich.style import Style
from stage import HOSTILE, SIZES, FakeTrainers, answer, at_sizes, controls, count_glyphs, recorded, shown, shows, until
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import OptionList

from checkpoints import store
from data.vocabulary import Vocabulary
from engine.lm.sampling import GenerateSpec, Sampling, SetSampling
from engine.runs.messages import Stop
from tui.actions import ACTIONS
from tui.app import LabApp
from tui.generate.candidate_view import CandidateView
from tui.generate.completion import EDIT, SWEEP, WALK
from tui.generate.pane import GeneratePane
from tui.generate.settings_strip import SettingsStrip
from tui.generate.sweep_view import SweepView
from tui.pane import UsePrompt

pytestmark = pytest.mark.usefixtures("trainers")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """No weights are read by this test."""
    return FakeModels(monkeypatch)


def of(pilot: Pilot[int]) -> GeneratePane:
    return pilot.app.query_one(GeneratePane)


async def write(pilot: Pilot[int], text: str) -> None:
    """Type into the editor."""
    names = {" ": "space", "\n": "enter", ".": "full_stop", "'": "apostrophe"}
    await pilot.press(*[names.get(character, character) for character in text])
    await pilot.pause()


async def quiet(pilot: Pilot[int]) -> None:
    """Wait until the worker has nothing to do and candidates are there."""
    await pilot.pause()
    await until(pilot, lambda: of(pilot).settled, 60)
    await pilot.pause()


@asynccontextmanager
async def generate(size: tuple[int, int] = (120, 40)) -> AsyncIterator[Pilot[int]]:
    """The program with the pane on the screen and its first model loaded."""
    async with LabApp().run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.query(GeneratePane) and of(pilot).lm is not None)
        await quiet(pilot)
        if not of(pilot).tokens.text:
            await pilot.press("e")
        yield pilot


@asynccontextmanager
async def completed(size: tuple[int, int] = (120, 40), tokens: int = 8) -> AsyncIterator[Pilot[int]]:
    """The same after a prompt of three letters and a completion."""
    async with generate(size) as pilot:
        of(pilot).session.sampling = Sampling(max_new_tokens=tokens, seed=0)
        await write(pilot, "abc")
        await pilot.press("f5")
        await until(pilot, lambda: of(pilot).tokens.text == "abc" + "defghijklmnopqrstuvwxyz"[:tokens])
        await quiet(pilot)
        yield pilot


@asynccontextmanager
async def streaming(models: FakeModels, tokens: int) -> AsyncIterator[Pilot[int]]:
    """The program while a completion of three letters has come so far; it goes on as the model is allowed to."""
    async with generate() as pilot:
        models.hold()
        await write(pilot, "abc")
        await pilot.press("f5")
        models.allow(tokens)
        await until(pilot, lambda: len(of(pilot).tokens.path) == 3 + tokens)
        yield pilot


# -- states ----------------------------------------------------------------------------------------------------------


async def test_an_empty_pane_says_what_to_do_and_what_was_loaded_and_why(models: FakeModels) -> None:
    async with generate(SIZES[1]) as pilot:
        why = "the model is bundled: Dante GPT"
        async for size in at_sizes(pilot):
            await shows(pilot, "Write a prompt here, then F5", f"{why}, since gpt2 is not" if size[0] >= 80 else why)
        await pilot.press("escape")
        async for size in at_sizes(pilot):
            await shows(pilot, "e  write a prompt; F5 continues it", "m  choose another model", "w  the lab's prompt")
            if size[0] >= 80:
                await shows(pilot, "Model  bundled: fake bundled")
        assert models.asked == ["bundled"]


async def test_a_prompt_is_completed_in_the_same_text(models: FakeModels) -> None:
    async with completed(SIZES[1]) as pilot:
        async for size in at_sizes(pilot):
            told = "perplexity  prompt 2.00  completion 2.00" if size[0] >= 100 else "3 prompt + 8 completed"
            facts = "1 M parameters" if size[0] >= 80 else "bundled"
            await shows(pilot, "abc▏defghijk", told, "T 1", "top-k 50", facts)
        assert of(pilot).mode == WALK
        assert "F5 Complete" in shown(pilot.app)
        spec = models.completions()[0]
        assert spec.score_prompt
        assert len(spec.ids or ()) == 3


async def test_a_completion_goes_on_from_the_end_and_its_prompt_is_scored_once(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("f5")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcdefghijklmnopqrs"
        assert [spec.score_prompt for spec in models.completions()] == [True, False]
        await pilot.press("u")
        assert of(pilot).tokens.text == "abcdefghijk"
        await pilot.press("U")
        assert of(pilot).tokens.text == "abcdefghijklmnopqrs"


async def test_the_first_f5_waits_for_the_model_and_begins_from_nothing(models: FakeModels) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.query(GeneratePane) and of(pilot).ready)
        await pilot.press("f5")
        await until(pilot, lambda: len(of(pilot).tokens.path) > 50)
        assert of(pilot).tokens.text.startswith("\n")
        assert of(pilot).tokens.nodes[of(pilot).tokens.path[0]].prompt


async def test_two_starts_in_a_row_are_one_completion(models: FakeModels) -> None:
    async with generate() as pilot:
        models.hold()
        await write(pilot, "abc")
        await pilot.press("f5", "f5", "f5")
        models.allow(3)
        await until(pilot, lambda: len(of(pilot).tokens.path) == 6)
        await pilot.press("f5")
        assert len(models.completions()) == 1
        await pilot.press("f7")
        await quiet(pilot)


async def test_stop_takes_effect_within_a_token(models: FakeModels) -> None:
    async with streaming(models, 4) as pilot:
        assert "writing" in shown(pilot.app)  # type: ignore[arg-type]
        await pilot.press("f7")
        models.allow(1)
        await until(pilot, lambda: not of(pilot).writing)
        models.allow(50)
        await quiet(pilot)
        assert len(of(pilot).tokens.path) <= 8
        assert isinstance(models.messages[0], Stop)
        await shows(pilot, "stopped", "ready")


async def test_a_completion_waits_and_goes_on(models: FakeModels) -> None:
    async with streaming(models, 2) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: of(pilot).paused)
        await shows(pilot, "paused")
        await pilot.press("f5")  # goes on as well
        models.allow(2)
        await until(pilot, lambda: len(of(pilot).tokens.path) >= 7)
        assert not of(pilot).paused


async def test_settings_change_in_the_middle_of_a_stream(models: FakeModels) -> None:
    async with streaming(models, 2) as pilot:
        await pilot.press("tab", "tab", "right", "1", ".", "3", "enter")
        await until(pilot, lambda: any(isinstance(message, SetSampling) for message in models.messages))
        models.allow(1)
        await until(pilot, lambda: len(of(pilot).tokens.path) == 6)
        last = of(pilot).tokens.nodes[of(pilot).tokens.path[-1]]
        assert last.drawn is not None
        assert last.drawn.temperature == 1.3
        assert pilot.app.query_one("#panes").current == "generate"  # type: ignore[attr-defined]  # digits are no keys there


async def test_a_resize_in_the_middle_of_a_stream_loses_nothing(models: FakeModels) -> None:
    async with generate() as pilot:
        models.hold()
        await write(pilot, "abc")
        await pilot.press("f5")
        for size in SIZES:
            models.allow(5)
            await pilot.resize_terminal(*size)
            await pilot.pause(0.2)
        await until(pilot, lambda: len(of(pilot).tokens.path) == 23)
        assert of(pilot).tokens.text == "abcopqrstuvwxyzabcdefgh"
        await shows(pilot, "abc▏opqrstuvwxyzabcdefgh")


async def test_an_empty_prompt_in_a_terminal_of_a_few_columns(models: FakeModels) -> None:
    async with generate() as pilot:
        for size in ((100, 30), (2, 30), (100, 30), (21, 19), (100, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
        await shows(pilot, "Write a prompt here")


async def test_leaving_in_the_middle_of_a_stream_does_not_wait_and_keeps_the_text(
    models: FakeModels, home: Path
) -> None:
    async with streaming(models, 4) as pilot:
        await pilot.press("ctrl+q")
        await pilot.pause()
    kept = json.loads((home / "generate" / "session.json").read_text())
    assert len(kept["nodes"]) >= 7


async def test_a_write_that_takes_long_is_not_overtaken_by_the_last_one(
    models: FakeModels, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = store.replace_file

    def slow(path: Path, content: bytes) -> None:
        if b'"abc"' not in content:
            time.sleep(0.5)
        replace(path, content)

    async with generate() as pilot:
        monkeypatch.setattr(store, "replace_file", slow)
        pane = of(pilot)
        pane.changed()
        pane._save()  # on its way with a text that is still empty
        await write(pilot, "abc")
        await pilot.press("ctrl+q")
    assert json.loads((home / "generate" / "session.json").read_text())["draft"] == "abc"


# -- walking, candidates, branches -----------------------------------------------------------------------------------


async def test_walking_shows_each_token_with_its_numbers_and_candidates(models: FakeModels) -> None:
    async with completed() as pilot:
        await shows(pilot, "next token")
        await pilot.press("left")
        await shows(pilot, "token 10", "completion", "p 50.0 %", "rank 1", "drawn 75.0 %", "top-k", "top-p", "cut")
        await pilot.press("home")
        await shows(pilot, "token 0", "prompt", "The first token has no prediction")
        await pilot.press("right")
        await shows(pilot, "token 1", "rank 1", "drawn")
        await pilot.press("end")
        await shows(pilot, "next token", "at 11")


async def test_other_settings_show_other_candidates_without_changing_the_text(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("left")
        await quiet(pilot)
        before = len(models.specs)
        await pilot.press("tab", "tab", "right", "up")
        await quiet(pilot)
        asked = models.specs[before:]
        assert [spec.sampling.max_new_tokens for spec in asked] == [1]
        assert asked[0].sampling.temperature == 1.1
        assert asked[0].ids == tuple(of(pilot).tokens.nodes[number].id for number in of(pilot).tokens.path[:10])
        await shows(pilot, "T 1.1")
        await pilot.press("down")  # back to settings whose candidates are known
        await quiet(pilot)
        assert len(models.specs) == before + 1


@pytest.mark.parametrize("focus", [(), ("tab",)])
async def test_another_candidate_is_taken_and_gone_on_from(models: FakeModels, focus: tuple[str, ...]) -> None:
    async with completed() as pilot:
        await pilot.press("left", "left", "left")
        await quiet(pilot)
        await pilot.press(*focus, "down" if focus else "j", "enter")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcdefghj" + "jklmnopq"
        await shows(pilot, "branch 2 of 2")
        await pilot.press("left_square_bracket")
        assert of(pilot).tokens.text == "abcdefghijk"
        await shows(pilot, "branch 1 of 2", "²i")
        await pilot.press("right_square_bracket")
        assert of(pilot).tokens.text == "abcdefghjjklmnopq"


async def test_token_by_token_with_the_space_key(models: FakeModels) -> None:
    async with completed() as pilot:
        for expected in ("l", "lm", "lmn"):
            await pilot.press("end")
            await quiet(pilot)
            await pilot.press("space")
            await quiet(pilot)
            assert of(pilot).tokens.text == "abcdefghijk" + expected
        assert len(models.completions()) == 1
        await pilot.press("u")
        assert of(pilot).tokens.text == "abcdefghijklm"


async def test_the_next_seed_makes_a_branch_and_the_same_seed_makes_none(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("r")
        await quiet(pilot)
        assert (of(pilot).tokens.text, of(pilot).tokens.fork()) == ("abcdefghijk", None)
        await pilot.press("f8")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcefghijkl"
        assert of(pilot).tokens.branches(3) == (2, 2)
        assert of(pilot).sampling.seed == 1
        assert pilot.app.query_one(SettingsStrip).sampling.seed == 1


async def test_editing_keeps_the_tokens_of_what_was_not_edited(models: FakeModels) -> None:
    async with completed() as pilot:
        path = list(of(pilot).tokens.path)
        await pilot.press("e")
        assert of(pilot).mode == EDIT
        await pilot.press("escape")
        assert of(pilot).tokens.path == path  # nothing was changed
        await pilot.press("e", "backspace", "backspace")
        await write(pilot, " x 1")
        await pilot.press("escape")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcdefghi x 1"
        assert of(pilot).tokens.path[:9] == path[:9]
        nodes = [of(pilot).tokens.nodes[number] for number in of(pilot).tokens.path]
        assert [node.prompt for node in nodes] == [True] * 3 + [False] * 6 + [True] * 4
        assert all(node.logprob is not None for node in nodes[1:])


async def test_what_another_model_wrote_is_walked_but_gone_on_from_as_text(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
        await pilot.press("down", "enter")  # bundled, gpt2, smollm2
        await until(pilot, lambda: of(pilot).lm.name == "gpt2")  # type: ignore[union-attr]
        await quiet(pilot)
        tree = of(pilot).tokens
        assert (tree.text, tree.branches(0)) == ("abcdefghijk", (2, 2))
        assert all(tree.nodes[number].prompt for number in tree.path)
        await pilot.press("left_square_bracket", "end")
        await shows(pilot, "tokens are of another model")
        await pilot.press("enter")
        await quiet(pilot)
        assert tree.text == "abcdefghijklmnopqrs"
        assert tree.models[tree.model].startswith("gpt2")


# -- models ----------------------------------------------------------------------------------------------------------


async def test_a_model_that_cannot_be_had_is_told_and_the_one_before_stays(models: FakeModels) -> None:
    models.missing.add("no/such")
    async with completed() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
        await pilot.press("tab", *"no", "slash", *"such", "enter")
        await shows(
            pilot, "The model could not be loaded", "no model 'no/such': it is nowhere [bold", "bundled stays loaded"
        )
        await pilot.press("escape")
        await quiet(pilot)
        await pilot.press("f5")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcdefghijklmnopqrs"


async def test_the_first_model_is_the_last_used_else_the_next_with_a_word_why(models: FakeModels, home: Path) -> None:
    models.missing.add("gone")
    (home / "generate").mkdir(parents=True)
    empty = {"version": 1, "recent": ["gone"], "sampling": {}, "models": [], "tip": 0, "draft": "", "cursor": 0}
    (home / "generate" / "session.json").write_text(json.dumps({**empty, "nodes": []}))
    async with generate() as pilot:
        assert models.asked == ["gone", "bundled"]
        assert [notice.level for notice in of(pilot).notices] == ["warning", "info"]
        await shows(pilot, "since gpt2 is not in the Hugging Face cache")


async def test_no_model_at_all_leaves_the_pane_usable(models: FakeModels) -> None:
    models.missing.add("bundled")
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        await shows(pilot, "The model could not be loaded")
        await pilot.press("escape")
        await pilot.pause()
        await write(pilot, "abc")
        await pilot.press("escape", "left", "right", "w")
        await shows(pilot, "the model is not loaded yet", "no model")
        models.missing.clear()
        await pilot.press("f5")
        await until(pilot, lambda: len(of(pilot).tokens.text) > 50)


async def test_runs_with_checkpoints_and_names_used_before_are_offered(models: FakeModels, home: Path) -> None:
    run = recorded("mine")
    (run.checkpoints / "step-000100").mkdir()
    recorded("unsaved")
    (home / "generate").mkdir(parents=True)
    empty = {"version": 1, "recent": ["some/model", HOSTILE], "sampling": {}, "models": [], "tip": 0, "draft": ""}
    (home / "generate" / "session.json").write_text(json.dumps({**empty, "cursor": 0, "nodes": []}))
    async with generate() as pilot:
        await pilot.press("escape", "m")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
        await shows(
            pilot, run.name, "your run on verse", "best loss 2.5000", "some/model", "used earlier", "␛]0;PAYLOAD"
        )
        assert "unsaved" not in shown(pilot.app)  # type: ignore[arg-type]
        assert controls(pilot.app) == []  # type: ignore[arg-type]
        assert pilot.app.screen.query_one(OptionList).option_count == 6
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        assert models.asked == ["some/model"]


async def test_a_character_that_the_model_does_not_know_is_named(models: FakeModels) -> None:
    async with generate() as pilot:
        await write(pilot, "abc")
        of(pilot).walk()
        of(pilot).take("abc 日本")
        await shows(pilot, "vocabulary: '日' (U+65E5), '本' (U+672C)")
        await pilot.press("f5")
        await shows(pilot, "Cannot continue this text (m: another model)")
        await pilot.press("escape", "u", "f5")
        await until(pilot, lambda: len(of(pilot).tokens.text) > 50)


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
async def test_hostile_tokens_leave_the_terminal_alone_and_can_be_walked(
    models: FakeModels, size: tuple[int, int]
) -> None:
    texts = [HOSTILE, "[bold", "\x1b[2J", "\u202e", "", "\x00", "\ufffd", "日本", "e\u0301"]
    models.spell = lambda number: texts[number % len(texts)]
    async with generate(size) as pilot:
        await write(pilot, "abc")
        await pilot.press("f5")
        await quiet(pilot)
        for _ in range(12):
            await pilot.press("left")
            await pilot.pause(0.02)
            assert controls(pilot.app) == []  # type: ignore[arg-type]
        await pilot.press("e")
        await pilot.pause(0.1)
        assert controls(pilot.app) == []  # type: ignore[arg-type]
        await pilot.press("escape", "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModalScreen))
        await pilot.press("enter")
        await quiet(pilot)
        assert controls(pilot.app) == []  # type: ignore[arg-type]


# -- texts -----------------------------------------------------------------------------------------------------------


async def test_a_text_from_another_pane_becomes_the_prompt_and_the_one_before_a_branch(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("1")
        pilot.app.post_message(UsePrompt("from the Tokens pane"))
        await until(pilot, lambda: of(pilot).tokens.text == "from the Tokens pane")
        await quiet(pilot)
        assert pilot.app.query_one("#panes").current == "generate"  # type: ignore[attr-defined]
        await pilot.press("left_square_bracket")
        assert of(pilot).tokens.text == "abcdefghijk"


async def test_a_text_sent_before_the_pane_was_ever_shown_arrives(models: FakeModels) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        pilot.app.post_message(UsePrompt("early bird"))
        await until(pilot, lambda: pilot.app.query(GeneratePane) and of(pilot).tokens.text == "early bird")
        await until(pilot, lambda: of(pilot).tokens.path)


async def test_everything_is_there_again_in_the_next_program(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("f8")
        await quiet(pilot)
        await pilot.press("left", "left")
        text, cursor = of(pilot).tokens.text, of(pilot).tokens.cursor
        await until(pilot, lambda: (of(pilot).session_file.path).exists())
    models.missing.add("bundled")  # the text is there before any model
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await pilot.press("3")
        await shows(pilot, "The model could not be loaded")
        await pilot.press("escape")
        tree = of(pilot).tokens
        assert (tree.text, tree.cursor, of(pilot).sampling.seed) == (text, cursor, 1)
        assert tree.branches(3) == (2, 2)
        await shows(pilot, "8 completed", "branch 2 of 2")
        assert of(pilot).mode == WALK


async def test_typing_into_a_megabyte_of_one_line_lays_out_a_screen(
    models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "nel mezzo del cammin di nostra vita " * 28_000
    async with generate() as pilot:
        pilot.app.post_message(UsePrompt(text))
        await until(pilot, lambda: of(pilot).tokens.text == text)
        await quiet(pilot)
        await pilot.press("e")
        await until(pilot, lambda: of(pilot).mode == EDIT)
        laid_out = count_glyphs(monkeypatch)
        for key in ("x", "left", "up", "backspace", "pageup", "home", "y"):
            laid_out.clear()
            await pilot.press(key)
            await pilot.pause()
            assert 0 < laid_out.total() < 20_000
        assert len(of(pilot).editor.buffer.text) == len(text) + 1
        await pilot.press("escape")
        assert of(pilot).tokens.text == of(pilot).editor.buffer.text


async def test_what_is_in_the_editor_is_kept_without_leaving_it(models: FakeModels, home: Path) -> None:
    async with generate() as pilot:
        await write(pilot, "not finished")
        file = home / "generate" / "session.json"
        await until(pilot, lambda: file.exists() and json.loads(file.read_text())["draft"] == "not finished")
        await write(pilot, " yet")
    assert json.loads(file.read_text())["draft"] == "not finished yet"


async def test_a_damaged_file_is_told_and_put_aside(models: FakeModels, home: Path) -> None:
    (home / "generate").mkdir(parents=True)
    (home / "generate" / "session.json").write_text("{")
    async with generate() as pilot:
        assert "was renamed to" in of(pilot).notices[0].text
        assert list((home / "generate").glob("session-damaged-*"))
        await write(pilot, "abc")
        await pilot.press("f5")
        await until(pilot, lambda: len(of(pilot).tokens.text) > 50)


async def test_a_text_file_is_opened_the_text_saved_and_copied(models: FakeModels, tmp_path: Path, home: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out" / "text.txt"
    source.write_text("from a file")
    async with generate() as pilot:
        await pilot.press("escape", "o")
        await answer(pilot, str(source))
        await until(pilot, lambda: of(pilot).tokens.text == "from a file")
        await pilot.press("x")
        await answer(pilot, str(target))
        await until(pilot, lambda: target.exists() and target.read_text() == "from a file")
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.clipboard == "from a file")
        assert (home / "generate" / "copied.txt").read_text() == "from a file"
        await pilot.press("o")
        await answer(pilot, str(tmp_path / "missing"))
        await shows(pilot, "The file could not be opened")


async def test_a_prompt_longer_than_the_context_is_said_after_the_completion_too(models: FakeModels) -> None:
    async with generate() as pilot:
        models.warn = "the first 300 are left out"
        of(pilot).take("word " * 100)
        await quiet(pilot)
        await pilot.press("f5")
        await shows(pilot, "▲ the first 300 are left out · 100 tokens")


async def test_a_text_too_large_for_a_clipboard_goes_into_the_file_only(models: FakeModels, home: Path) -> None:
    async with generate() as pilot:
        of(pilot).take("word " * 20_000)
        await quiet(pilot)
        await pilot.press("y")
        await until(pilot, lambda: (home / "generate" / "copied.txt").exists())
        await shows(pilot, "too large for the terminal's clipboard")
        assert pilot.app.clipboard == ""
        assert len(of(pilot).tokens.path) < 2_000  # of a text that no context holds, the end is taken apart
        assert of(pilot).tokens.text == "word " * 20_000


# -- comparisons -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
async def test_a_sweep_runs_the_ladder_shows_figures_and_is_saved(
    models: FakeModels, home: Path, size: tuple[int, int]
) -> None:
    async with completed(size) as pilot:
        before = len(models.completions())
        await pilot.press("w")
        await until(pilot, lambda: of(pilot).mode == SWEEP and pilot.app.query_one(SweepView).sweep.path)  # type: ignore[union-attr]
        await shows(pilot, "greedy", "temperature 2" if size[0] >= 80 else "temperature", "50.0")
        asked = models.completions()[before:]
        assert [spec.sampling.greedy for spec in asked] == [True] + [False] * 5
        assert {spec.sampling.max_new_tokens for spec in asked} == {8}
        saved = list((home / "sweeps").glob("*.md"))
        assert len(saved) == 1
        block = saved[0].read_text().split("```toml\n")[1].split("\n```")[0]
        assert tomllib.loads(block)["prompt"] == "abc"  # the prompt without its completion
        for key in ("right", "left", "down", "up", "pagedown", "pageup"):
            await pilot.press(key)
        await pilot.press("escape")
        await shows(pilot, "abc▏defghijk")


async def test_the_usual_prompt_stands_in_for_an_empty_text(models: FakeModels) -> None:
    async with generate() as pilot:
        await pilot.press("escape", "w")
        await shows(pilot, "Who knows if God exists, but for sure I")
        await quiet(pilot)


async def test_a_column_becomes_the_text_with_its_probabilities(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("n")
        await shows(pilot, "Several samples")
        await pilot.press("backspace", "3", "enter")
        await until(pilot, lambda: of(pilot).mode == SWEEP and pilot.app.query_one(SweepView).sweep.path)  # type: ignore[union-attr]
        view = pilot.app.query_one(SweepView)
        assert view.sweep is not None
        assert [column.setting.sampling.seed for column in view.sweep.columns] == [0, 1, 2]
        while view.chosen != 2:
            await pilot.press("right")
        await pilot.press("enter")
        await quiet(pilot)
        tree = of(pilot).tokens
        assert (of(pilot).mode, tree.text) == (WALK, "abcfghijklm")
        assert tree.branches(3) == (2, 2)
        assert all(tree.nodes[number].logprob is not None for number in tree.path[1:])
        await pilot.press("left_square_bracket")
        assert tree.text == "abcdefghijk"


async def test_two_settings_are_compared_on_the_same_seed(models: FakeModels) -> None:
    async with completed() as pilot:
        before = len(models.completions())
        await pilot.press("a")
        await shows(pilot, "set B here")
        await pilot.press("right", "0", ".", "5", "enter", "enter")
        await until(pilot, lambda: len(models.completions()) == before + 2)
        a, b = [spec.sampling for spec in models.completions()[before:]]
        assert (a.temperature, b.temperature, a.seed == b.seed) == (1.0, 0.5, True)
        await quiet(pilot)
        await shows(pilot, "A  temperature 1", "B  temperature 0.5")
        await pilot.press("escape", "a")
        await shows(pilot, "set B here")
        await pilot.press("escape")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1)
        assert len(models.completions()) == before + 2


async def test_a_comparison_under_way_is_shown_again_and_stopped(models: FakeModels) -> None:
    async with completed() as pilot:
        models.hold()
        await pilot.press("w")
        models.allow(3)
        await until(pilot, lambda: len(pilot.app.query_one(SweepView).sweep.columns[0].tokens) == 3)  # type: ignore[union-attr]
        await pilot.press("escape", "n")
        await until(pilot, lambda: of(pilot).mode == SWEEP)
        assert len(pilot.app.screen_stack) == 1
        await pilot.press("f7")
        models.allow(1)
        await until(pilot, lambda: not of(pilot).background.active)
        assert pilot.app.query_one(SweepView).sweep.path  # type: ignore[union-attr]


def lines_of(widget: Widget) -> list[tuple[str, Style | None]]:
    """What a widget has drawn, segment by segment."""
    return [(part.text, part.style) for y in range(widget.size.height) for part in widget.render_line(y)]


async def test_what_has_the_focus_is_drawn_so_and_what_lost_it_is_not(models: FakeModels) -> None:
    async with completed() as pilot:
        for widget in (of(pilot).query_one(CandidateView), of(pilot).query_one(SettingsStrip)):
            await pilot.pause()
            away = lines_of(widget)
            widget.focus()
            await until(pilot, lambda widget=widget: widget.has_focus)
            await pilot.pause()
            here = lines_of(widget)
            widget.draw()
            assert lines_of(widget) == here
            assert here != away or isinstance(widget, CandidateView)  # whose border tells
            of(pilot).query_one("#gen-walk").focus()
            await until(pilot, lambda widget=widget: not widget.has_focus)
            await pilot.pause()
            assert lines_of(widget) == away
        await pilot.press("w")
        await until(pilot, lambda: of(pilot).mode == SWEEP and of(pilot).query_one(SweepView).sweep.done)
        sweep = of(pilot).query_one(SweepView)
        await pilot.pause()
        here = lines_of(sweep)
        sweep.draw()
        assert lines_of(sweep) == here


async def test_f5_counts_what_is_typed_for_a_setting_and_leaves_the_focus_where_it_is(models: FakeModels) -> None:
    async with completed() as pilot:
        strip = of(pilot).query_one(SettingsStrip)
        strip.focus()
        await until(pilot, lambda: strip.has_focus)
        strip.show(of(pilot).sampling)
        while strip.chosen != "max_new_tokens":
            strip.action_choose(1)
        await pilot.press("3", "f5")
        await quiet(pilot)
        assert of(pilot).tokens.text == "abcdefghijklmn"
        assert strip.has_focus
        await pilot.press("2", "enter")
        assert of(pilot).sampling.max_new_tokens == 2
        assert of(pilot).tokens.text == "abcdefghijklmn"


# -- settings and keys -----------------------------------------------------------------------------------------------


async def test_all_settings_lie_in_one_or_two_lines_and_the_chosen_one_is_explained(models: FakeModels) -> None:
    names = ("greedy no", "T 1 ", "top-k 50", "top-p off", "min-p off", "repetition off", "new 8", "seed 0")
    async with completed(SIZES[1]) as pilot:
        strip = of(pilot).query_one(SettingsStrip)
        strip.show(of(pilot).sampling)
        async for size in at_sizes(pilot):
            await shows(pilot, *names, "Tab edits")
            assert strip.size.height == (1 if size[0] >= 100 else 2)
        await pilot.press("tab", "tab", "right")
        async for _ in at_sizes(pilot):
            await shows(pilot, *names, "▌T 1 ", "divides the logits: below 1 sharper, above 1 flatter")


async def test_a_wrong_setting_says_why_and_changes_nothing(models: FakeModels) -> None:
    async with completed() as pilot:
        await pilot.press("tab", "tab", "right", "0", "enter")
        await shows(pilot, "must lie in 0 < temperature")
        assert of(pilot).sampling.temperature == 1.0
        await pilot.press("escape", "plus", "plus", "minus")
        assert of(pilot).sampling.temperature == 1.1
        await pilot.press("right", "right", "right", "right", "right", "4", "2")
        await pilot.press("tab")  # what was typed counts when the strip is left
        assert of(pilot).sampling.max_new_tokens == 42


@pytest.mark.parametrize("empty", [True, False])
async def test_every_key_of_the_pane_can_be_pressed(models: FakeModels, empty: bool) -> None:
    async with generate() if empty else completed() as pilot:
        await pilot.press("escape")
        for action in ACTIONS:
            if action.where != "generate":
                continue
            for key in action.keys:
                await pilot.press(key)
                await pilot.pause(0.05)
                for _ in range(20):
                    if len(pilot.app.screen_stack) > 1:
                        await pilot.press("escape")
                        await pilot.pause(0.05)
                assert len(pilot.app.screen_stack) == 1, key
                if of(pilot).mode != WALK:
                    await pilot.press("escape")
                    await pilot.pause()
        await quiet(pilot)
        assert of(pilot).is_attached


async def test_help_tells_about_the_pane(models: FakeModels) -> None:
    async with generate((80, 24)) as pilot:
        await pilot.press("f1")
        await shows(pilot, "On this screen")
        await pilot.press("k")
        await shows(pilot, "Keys of this pane")


async def test_training_is_not_reached_by_the_keys_of_this_pane(models: FakeModels, trainers: FakeTrainers) -> None:
    async with completed() as pilot:
        await pilot.press("f5", "f6", "f7", "f8")
        await quiet(pilot)
        assert trainers.started == []
        assert trainers.messages == []


# -- chat ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def chatting(
    models: FakeModels, text: str = "Who", size: tuple[int, int] = (120, 40)
) -> AsyncIterator[Pilot[int]]:
    """The pane with a model that has a chat template, and a prompt outside the editor."""
    models.chatting.add("bundled")
    async with generate(size) as pilot:
        of(pilot).session.sampling = Sampling(max_new_tokens=4, seed=0)
        await write(pilot, "Who")
        await pilot.press("escape")
        await quiet(pilot)
        yield pilot


def prompt_of(spec: GenerateSpec) -> str:
    letters = Vocabulary(string.ascii_letters + string.digits + " .,'\n")
    return "".join(letters.characters[number] for number in spec.ids or ())


async def test_c_puts_the_prompt_into_the_template_and_takes_it_out_again(models: FakeModels) -> None:
    async with chatting(models) as pilot:
        await shows(pilot, "c Chat", "chat off")
        await pilot.press("c")
        await quiet(pilot)
        await shows(pilot, "System own. User Who. Answer", "chat on")
        assert of(pilot).tokens.text == "System own. User Who. Answer "
        await pilot.press("f5")
        await quiet(pilot)
        assert prompt_of(models.completions()[-1]) == "System own. User Who. Answer "
        assert of(pilot).tokens.text.startswith("System own. User Who. Answer ")
        assert of(pilot).tokens.tally(prompt=False)[0] == 4
        await pilot.press("c")
        await quiet(pilot)
        assert of(pilot).tokens.text == "Who"
        await shows(pilot, "chat off")
        await pilot.press("u")  # back to the answer, with its setting
        await quiet(pilot)
        await shows(pilot, "System own. User Who. Answer", "chat on")


async def test_in_a_chat_the_editor_holds_the_message_and_f5_answers_the_new_one(
    models: FakeModels, home: Path
) -> None:
    async with chatting(models) as pilot:
        await pilot.press("c")
        await quiet(pilot)
        await pilot.press("e")
        await shows(pilot, "message to the model")
        assert of(pilot).editor.buffer.text == "Who"
        await write(pilot, "m")
        await pilot.press("f5")
        await until(pilot, lambda: of(pilot).tokens.tally(prompt=False)[0] == 4)
        await quiet(pilot)
        assert [prompt_of(spec) for spec in models.completions()] == ["System own. User Whom. Answer "]
        assert of(pilot).message == "Whom"
    async with generate() as pilot:  # another start
        await shows(pilot, "System own. User Who²m. Answer", "chat on")
        await pilot.press("e")
        assert of(pilot).editor.buffer.text == "Whom"
        await write(pilot, "s")
        await until(pilot, lambda: '"message": "Whoms"' in (home / "generate" / "session.json").read_text())
    async with generate() as pilot:  # a message that no template was applied to is not lost
        await quiet(pilot)
        assert of(pilot).tokens.text == "System own. User Whoms. Answer "


async def test_a_system_message_and_one_that_the_template_refuses(models: FakeModels) -> None:
    async with chatting(models) as pilot:
        await pilot.press("s")
        await shows(pilot, "System message")
        await pilot.press(*"Du", "enter")
        await quiet(pilot)
        assert of(pilot).tokens.text == "System Du. User Who. Answer "
        await pilot.press("s")
        await shows(pilot, "System message")
        await pilot.press(*"refused", "enter")
        await shows(pilot, "The chat template cannot be applied", "no system message [bold ␛[31m")
        assert controls(pilot.app) == []  # type: ignore[arg-type]
        await pilot.press("escape")
        await quiet(pilot)
        assert of(pilot).tokens.text == "System Du. User Who. Answer "


async def test_an_answer_that_has_ended_is_not_gone_on_with(models: FakeModels) -> None:
    async with chatting(models) as pilot:
        await pilot.press("c", "f5")
        await until(pilot, lambda: of(pilot).tokens.tally(prompt=False)[0] == 4)
        await quiet(pilot)
        assert of(pilot).lm is not None
        of(pilot).lm.eos = {of(pilot).tokens.nodes[of(pilot).tokens.tip].id}  # type: ignore[union-attr]
        before = len(models.completions())
        await pilot.press("f5")
        await shows(pilot, "the answer has ended: e writes another message")
        assert len(models.completions()) == before


async def test_without_a_template_chat_has_no_key_and_says_why(models: FakeModels) -> None:
    async with completed() as pilot:
        await shows(pilot, "chat none")
        assert "c Chat" not in shown(pilot.app)  # type: ignore[arg-type]
        for key in ("c", "s"):
            await pilot.press(key)
            await shows(pilot, "bundled has no chat template; instruct models have one")
        assert of(pilot).tokens.text == "abcdefghijk"


async def test_the_setting_of_the_strip_is_the_same_switch(models: FakeModels) -> None:
    async with chatting(models, size=(80, 24)) as pilot:
        strip = of(pilot).query_one(SettingsStrip)
        strip.focus()
        await pilot.press("left")
        assert strip.chosen == "chat"
        await shows(pilot, "put the prompt into the model's chat template")
        await pilot.press("up")
        await quiet(pilot)
        assert of(pilot).tokens.text == "System own. User Who. Answer "
        await pilot.press("down")
        await quiet(pilot)
        assert of(pilot).tokens.text == "Who"


async def test_a_sweep_of_a_chat_begins_from_exactly_what_the_template_made(models: FakeModels, home: Path) -> None:
    async with chatting(models) as pilot:
        await pilot.press("c")
        await quiet(pilot)
        before = len(models.completions())
        await pilot.press("w")
        await until(pilot, lambda: of(pilot).mode == SWEEP and pilot.app.query_one(SweepView).sweep.path)
        assert {prompt_of(spec) for spec in models.completions()[before:]} == {"System own. User Who. Answer "}
        await shows(pilot, "sweep of “System own. User Who. Answer ”")
        saved = tomllib.loads(next((home / "sweeps").glob("*.md")).read_text().split("```toml\n")[1].split("\n```")[0])
        assert len(saved["ids"]) == len("System own. User Who. Answer ")


async def test_the_template_of_another_model_takes_the_place_of_the_first_ones(models: FakeModels) -> None:
    async with chatting(models) as pilot:
        await pilot.press("c")
        await quiet(pilot)
        models.chatting.add("another")
        models.chat.apply = lambda conversation: f"A{conversation.user}B"
        of(pilot).take_model("another")
        await until(pilot, lambda: of(pilot).tokens.text == "AWhoB")
        await quiet(pilot)
        assert of(pilot).chat == "on"
