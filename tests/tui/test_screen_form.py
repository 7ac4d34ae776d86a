"""The form: what it shows, what it refuses and why, and whose values it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stage import HOSTILE, SIZES, FakeTrainers, at_sizes, controls, shown, shows, until
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from engine.gpt.spec import PRESETS, TrainSpec, build
from engine.runs.spec import options
from tui.app import LabApp
from tui.train.form import TrainForm
from tui.widgets.field import Choice, Ticks

pytestmark = pytest.mark.usefixtures("trainers")


async def put(pilot: Pilot[int], name: str, value: str) -> None:
    """Type ``value`` into a field, in place of what stands there."""
    field = pilot.app.query_one(f"#field-{name}", Input)
    field.focus()
    await pilot.pause()
    await pilot.press("end", "ctrl+u")
    if len(value) < 15:
        await pilot.press(*value)
    else:
        field.post_message(events.Paste(value))
    await until(pilot, lambda: field.value == value)


def form(pilot: Pilot[int]) -> TrainForm:
    """The form on the screen."""
    return pilot.app.query_one(TrainForm)


def problems(pilot: Pilot[int]) -> str:
    """What the form says is wrong."""
    return str(pilot.app.query_one("#form .problems").render())


async def test_the_form_comes_first_with_its_start_button_cost_and_keys() -> None:
    async with LabApp().run_test(size=SIZES[1]) as pilot:
        async for size in at_sizes(pilot):
            await shows(pilot, "Start training", "corpus", "steps", "what you can do here", "F1", "F5")
            if size[0] >= 80:
                await shows(pilot, "parameters")
            assert len(shown(pilot.app).splitlines()) == size[1]


async def test_every_preset_can_be_seen() -> None:
    async with LabApp().run_test(size=SIZES[1]) as pilot:
        await shows(pilot, "Start training", "auto")  # one at a time, since there is no room for all
        pilot.app.query_one("#field-preset", Choice).focus()
        for name in PRESETS:
            await pilot.press("right")
            async for _ in at_sizes(pilot):
                await shows(pilot, f" {name}  ◂ ▸")


@pytest.mark.parametrize("size", [(60, 20)])
async def test_every_field_can_be_reached_with_the_keyboard_and_is_then_in_sight(size: tuple[int, int]) -> None:
    async with LabApp().run_test(size=size) as pilot:
        await shows(pilot, "Start training")
        fields = [*pilot.app.query(Input), *pilot.app.query(Choice)]
        visited = set()
        for _ in range(len(fields) + 1):
            await pilot.press("tab")
            await pilot.pause()
            focused = pilot.app.focused
            assert focused is not None
            visited.add(focused)
            area = focused.region
            assert area.height
            assert pilot.app.query_one("#form .fields").region.contains_region(area)
        assert set(fields) <= visited


WRONG = (
    ("heads", "3", "3 do not divide the width 128"),
    ("steps", "many", "'many' is not a whole number"),
    ("learning_rate", "2", "must lie in 0 < learning rate"),
    ("dropout", "1", "must lie in 0"),
    ("sample_prompt", "", "must not be empty"),
    ("steps", "0", "must be at least 1"),
)


async def test_a_wrong_value_is_named_while_it_is_typed_and_does_not_start_a_run(trainers: FakeTrainers) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        for field, value, message in WRONG:
            before = pilot.app.query_one(f"#field-{field}", Input).value
            await put(pilot, field, value)
            told = f"{field.replace('_', ' ')}: {message}"
            await until(pilot, lambda told=told: told in problems(pilot))
            row = pilot.app.query_one(f"#row-{field}")
            assert row.has_class("-bad")
            pilot.app.query_one("#field-seed").focus()
            await pilot.press("f5")
            await until(pilot, lambda field=field: pilot.app.focused is pilot.app.query_one(f"#field-{field}"))
            assert not trainers.started
            assert not pilot.app.pane.showing_results  # type: ignore[attr-defined]
            await put(pilot, field, before)
            await until(pilot, lambda row=row: not problems(pilot) and not row.has_class("-bad"))


async def test_a_corpus_that_cannot_be_read_or_is_too_short_is_named_and_does_not_start(
    trainers: FakeTrainers,
    tmp_path: Path,
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("too short for any context\n")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        for value, message in ((str(tmp_path / "missing"), "no such file"), (str(short), "are too few")):
            await put(pilot, "corpus", value)
            await until(pilot, lambda message=message: message in problems(pilot))
            assert "corpus: " in problems(pilot)
            await pilot.press("f5")
            await pilot.pause(0.1)
            assert not trainers.started


async def test_a_corpus_without_a_line_break_starts_with_a_prompt_of_its_own(
    trainers: FakeTrainers,
    tmp_path: Path,
) -> None:
    line = tmp_path / "line.txt"
    line.write_text("gattaca " * 400)
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "corpus", str(line))
        await shows(pilot, "begin with 'g': no line break")
        assert not problems(pilot)
        await put(pilot, "sample_prompt", "Ω")
        await until(pilot, lambda: "sample prompt: character 'Ω'" in problems(pilot))
        await pilot.press("f5")
        await pilot.pause(0.1)
        assert not trainers.started
        await put(pilot, "sample_prompt", "\\n")
        await until(pilot, lambda: not problems(pilot))
        await pilot.press("f5")
        await until(pilot, lambda: trainers.started)
    assert trainers.started[0].read_json("spec.json")["sample_prompt"] == "g"


async def test_how_the_corpus_is_read_is_shown_before_it_is_trained_on(
    trainers: FakeTrainers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = tmp_path / "polish.txt"
    text.write_bytes(("Zażółć gęślą jaźń,\nwszyscy ludzie rodzą się wolni.\n" * 20).encode("cp1250"))
    async with LabApp().run_test(size=(120, 60)) as pilot:
        await put(pilot, "corpus", str(text))
        await shows(pilot, "cp1250", "Zażółć gęślą jaźń,", "wszyscy ludzie rodzą się wolni.")
        await put(pilot, "encoding", "koi8-r")
        await shows(pilot, "koi8-r", "Za©СЁФ")
        await put(pilot, "encoding", "cp99")
        await until(pilot, lambda: "encoding: 'cp99' is not an encoding" in problems(pilot))
        monkeypatch.setattr("tui.train.form.LARGE", 99)
        await put(pilot, "encoding", "")
        await shows(pilot, "large; read when training starts", "cp1250", "Zażółć gęślą jaźń,")
        await put(pilot, "sample_prompt", "Za" * 50)
        await shows(pilot, "first 36 characters exceed the context")
    assert not trainers.started


async def test_a_corrected_value_starts_a_run_with_what_was_typed(
    trainers: FakeTrainers,
    verse: Path,
) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "corpus", str(verse))
        await put(pilot, "heads", "3")
        await until(pilot, lambda: "do not divide" in problems(pilot))
        await put(pilot, "heads", "8")
        await put(pilot, "sample_prompt", "re\\nma")
        await until(pilot, lambda: not problems(pilot))
        await pilot.press("f5")
        await until(pilot, lambda: trainers.started)
        spec = json.loads((trainers.started[0].path / "spec.json").read_text())
        assert (spec["corpus"], spec["heads"], spec["sample_prompt"]) == (str(verse), 8, "re\nma")
        assert {**build({}, preset_for_auto="nano").__dict__, **spec} == spec
        await shows(pilot, "● running", f"verse-{spec['preset']}")


async def test_what_was_typed_counts_even_when_the_start_follows_at_once(verse: Path) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "corpus", str(verse))
        await shows(pilot, "distinct")
        field = pilot.app.query_one("#field-steps", Input)
        field.value = "77"  # its message is still under way, as after typing ahead on a slow link
        assert form(pilot).spec().steps == 77


async def test_a_value_typed_before_leaving_its_field_is_not_put_back() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        field = pilot.app.query_one("#field-steps", Input)
        field.focus()
        await pilot.pause()
        field.value = "60"
        pilot.app.query_one("#field-seed").focus()  # before the form has heard of the new value
        await pilot.pause(0.1)
        form(pilot).refresh_all()
        assert field.value == "60"
        assert form(pilot).given()["steps"] == "60"


async def test_a_preset_changes_only_the_fields_that_nobody_has_touched() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "steps", "77")
        choice = pilot.app.query_one(Choice)
        choice.focus()
        await pilot.pause()
        for preset in ("nano", "small"):
            await pilot.press("right")
            await until(pilot, lambda preset=preset: choice.value == preset)
        await until(pilot, lambda: pilot.app.query_one("#field-width", Input).value == "192")
        assert pilot.app.query_one("#field-layers", Input).value == "6"
        assert pilot.app.query_one("#field-steps", Input).value == "77"
        given = form(pilot).given()
        assert given == {"preset": "small", "steps": "77"}
        await pilot.press("left")
        await until(pilot, lambda: pilot.app.query_one("#field-width", Input).value == "128")
        assert pilot.app.query_one("#field-steps", Input).value == "77"


async def test_letters_and_digits_in_a_field_are_text_and_not_commands(
    trainers: FakeTrainers,
) -> None:
    letters = "nwlgstq71xrd?"
    async with LabApp().run_test(size=(120, 40)) as pilot:
        theme = pilot.app.theme
        await put(pilot, "name", letters)
        await pilot.pause()
        assert pilot.app.query_one("#field-name", Input).value == letters
        assert pilot.app.theme == theme
        assert len(pilot.app.screen_stack) == 1
        assert pilot.app.is_running
        assert pilot.app.query_one("#panes").current == "train"  # type: ignore[attr-defined]
        assert not trainers.started


async def test_beside_the_fields_only_letters_that_are_shown_act_and_digits_are_panes() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        theme = pilot.app.theme
        for widget in (pilot.app.query_one("#go"), pilot.app.query_one("#field-preset")):
            widget.focus()
            await pilot.pause()
            await pilot.press("t", "w", "l", "T")
            assert pilot.app.theme == theme
            assert len(pilot.app.screen_stack) == 1
        await put(pilot, "steps", "77")
        await pilot.press("escape", "u")
        await until(pilot, lambda: pilot.app.query_one("#field-steps", Input).value != "77")
        await pilot.press("7")
        await until(pilot, lambda: pilot.app.here.id == "runs")  # type: ignore[attr-defined]
        await pilot.press("t")
        await until(pilot, lambda: pilot.app.theme != theme)


async def test_typing_replaces_what_stands_in_a_field_and_escape_leaves_it() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        field = pilot.app.query_one("#field-steps", Input)
        for text in ("12", "345"):
            field.focus()
            await pilot.pause()
            await pilot.press(*text)
            await until(pilot, lambda text=text: field.value == text)
            await shows(pilot, "Esc Leave the field")
            await pilot.press("escape")
            await until(pilot, lambda: "Esc Leave" not in shown(pilot.app))
            await until(pilot, lambda: pilot.app.focused is pilot.app.query_one("#go"))


async def test_tab_completes_a_path_as_a_shell_does_and_else_goes_on(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder/verse-a.txt", "folder/verse-b.txt", ".hidden", "fo\x1b[2Jo"):
        (tmp_path / name).write_text("x")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "corpus", f"{tmp_path}/fol")
        field = pilot.app.query_one("#field-corpus", Input)
        for key, expected in (("tab", "folder/"), ("tab", "folder/verse-"), ("b", "folder/verse-b")):
            await pilot.press(key)
            await until(pilot, lambda expected=expected: field.value == f"{tmp_path}/{expected}")
        await until(pilot, lambda: field._suggestion == f"{tmp_path}/folder/verse-b.txt")
        await pilot.press("right")
        await until(pilot, lambda: field.value.endswith("verse-b.txt"))
        await pilot.press("tab")
        await until(pilot, lambda: pilot.app.focused is pilot.app.query_one("#field-encoding"))


async def test_pasted_markup_and_escape_sequences_are_shown_and_never_sent() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        for field in ("corpus", "name", "sample_prompt"):
            box = pilot.app.query_one(f"#field-{field}", Input)
            before = box.value
            box.focus()
            await pilot.pause()
            await pilot.press("end", "ctrl+u")
            box.post_message(events.Paste("[red]" + HOSTILE))
            await until(pilot, lambda box=box: "PAYLOAD" in box.value)
            await pilot.press("home")
            await shows(pilot, "PAYLOAD")
            assert controls(pilot.app) == []
            assert "[red]" in shown(pilot.app)
            box.value = before
            await until(pilot, lambda: "PAYLOAD" not in shown(pilot.app))


async def test_the_facts_of_a_corpus_are_shown_whatever_characters_it_is_made_of(tmp_path: Path) -> None:
    corpus = tmp_path / "[bold]hostile[.txt"
    corpus.write_text(("[red]text[/nope] \x1b]0;PAYLOAD\x07\n") * 60, encoding="utf-8")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await put(pilot, "corpus", str(corpus))
        await shows(pilot, "distinct", "ln V")
        assert controls(pilot.app) == []


async def test_the_form_begins_with_what_was_started_last_and_a_key_brings_the_defaults_back(
    trainers: FakeTrainers, verse: Path, home: Path
) -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        for name, value in (("corpus", str(verse)), ("name", "once"), ("steps", "77"), ("sample_prompt", "ma\\nre")):
            await put(pilot, name, value)
        choice = pilot.app.query_one(Choice)
        choice.focus()
        for _ in range(2):
            await pilot.press("right")
        await until(pilot, lambda: choice.value == "small" and not problems(pilot))
        await pilot.press("f5")
        await until(pilot, lambda: trainers.started and (home / "form.json").exists())
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training", "distinct", "u resets the form to its defaults")
        given = form(pilot).given()
        assert given == {"preset": "small", "corpus": str(verse), "steps": "77", "sample_prompt": "ma\\nre"}
        assert form(pilot).spec().layers == 6
        await pilot.press("u")
        await until(pilot, lambda: form(pilot).given() == {})
        assert pilot.app.query_one("#field-corpus", Input).value == "dante"
        assert "u resets the form to its defaults" not in shown(pilot.app)


@pytest.mark.parametrize(
    "content",
    [b"", b"{not json", b"\xff\xfe", b"[1]", b'{"steps": 5, "preset": "huge", "name": null}', b'{"steps": {"a": 1}}'],
)
async def test_a_damaged_memory_of_the_form_is_ignored(content: bytes, home: Path) -> None:
    home.mkdir()
    (home / "form.json").write_bytes(content)
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training", "parameters")
        assert form(pilot).given() == {}


async def test_remembered_values_that_are_wrong_now_are_named_and_hostile_ones_are_text(home: Path) -> None:
    home.mkdir()
    values = {"preset": "nano", "steps": "many", "corpus": "[red]/nowhere" + HOSTILE}
    (home / "form.json").write_text(json.dumps(values), encoding="utf-8")
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training", "'many' is not a whole number", "[red]/nowhere")
        assert controls(pilot.app) == []
        await pilot.press("u")
        await until(pilot, lambda: not problems(pilot))


async def test_the_fold_reaches_every_field_and_a_problem_in_it_opens_it(trainers: FakeTrainers, verse: Path) -> None:
    async with LabApp().run_test(size=(80, 24)) as pilot:
        await shows(pilot, "Start training")
        fold = pilot.app.query_one("#fold")
        fold.focus()
        await shows(pilot, "▸ advanced: 33 fields")
        await pilot.press("enter")
        await shows(pilot, "▾ advanced")
        visited = {"corpus"}
        pilot.app.query_one("#field-corpus").focus()
        await pilot.pause()
        for _ in range(len(options(TrainSpec)) + 2):
            await pilot.press("down")
            await pilot.pause()
            focused = pilot.app.focused
            visited.add(form(pilot).name_of(focused))
            if name := form(pilot).name_of(focused):
                assert options(TrainSpec)[name].help[:30] in shown(pilot.app).splitlines()[-3]  # type: ignore[arg-type]
        assert visited >= set(options(TrainSpec))
        await put(pilot, "corpus", str(verse))
        await put(pilot, "beta1", "1")
        fold.focus()
        await pilot.press("enter")
        await shows(pilot, "▸ advanced: 33 fields, 1 changed")
        assert "beta1: must lie in 0 ≤ beta1 < 1" in problems(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: pilot.app.focused is pilot.app.query_one("#field-beta1"))
        assert not trainers.started


async def test_a_click_chooses_the_value_under_it() -> None:
    async with LabApp().run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Start training")
        pilot.app.query_one("#fold").focus()
        await pilot.press("enter")
        choice = pilot.app.query_one("#field-activation", Choice)
        choice.focus()
        await shows(pilot, "gelu", "relu2")
        y = choice.region.y
        for name in ("relu2", "gelu"):
            await pilot.click(offset=(shown(pilot.app).splitlines()[y].index(name) + 1, y))  # type: ignore[arg-type]
            assert choice.value == name
        await pilot.press("4")
        await shows(pilot, "fine-tune")
        ticks = pilot.app.query_one("#cl-field-heads", Ticks)
        y = ticks.region.y
        for name, value in (("fine-tune", "lr mlp finetune"), ("MLP", "lr finetune"), ("fine-tune", "lr")):
            await pilot.click(offset=(shown(pilot.app).splitlines()[y].index(name) + 1, y))  # type: ignore[arg-type]
            assert ticks.value == value
