"""Figures of verse against brute force, tercets made by hand, and a tiny model that was trained."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from workbench import new_run, only, spec, train

from checkpoints import home
from checkpoints.run import Run
from engine.gpt.trained import load, take_sample
from engine.lab import verse
from engine.runs import owner
from engine.runs.events import Event, Finished, Progress, SampleText
from engine.runs.messages import Control, Stop, Stopped, finish

TERCETS = """\
  Nel mezzo del cammin di nostra vita
  mi ritrovai per una selva oscura,
  ché la diritta via era smarrita.

  Ahi quanto a dir qual era è cosa dura
  esta selva selvaggia e aspra e forte
  che nel pensier rinova la paura!

  Tant’ è amara che poco è più morte;
"""
PAIRS = [("vita", "smarrita"), ("oscura", "dura"), ("dura", "paura"), ("forte", "morte")]


def ends(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(one.split()[-1].strip(".,;!"), two.split()[-1].strip(".,;!")) for one, two in pairs]


def test_the_longest_copy_is_that_of_brute_force() -> None:
    rng = random.Random(4)
    for _ in range(300):
        text, source = ("".join(rng.choices("abè\n"[: rng.randint(1, 4)], k=rng.randint(0, 25))) for _ in range(2))
        pieces = {text[a:b] for a in range(len(text)) for b in range(a + 1, len(text) + 1)} | {""}
        found = verse.longest_copy(text, source)
        assert found in text
        assert found in source
        assert len(found) == max(len(piece) for piece in pieces if piece in source)


def test_the_longest_copy_of_a_text_that_is_all_copied() -> None:
    source = "".join(random.Random(1).choices("abcdef ", k=20_000))
    assert verse.longest_copy(source[7_000:9_000], source) == source[7_000:9_000]


def test_words_are_runs_of_letters_and_apostrophes() -> None:
    assert verse.words("«L’amor che MOVE il sol», 34 d'altre ’ stelle—due") == [
        *("l'amor", "che", "move", "il", "sol", "d'altre", "stelle", "due")
    ]


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("di nostra vita", "ita"),
        ("rinova la paura!", "ura"),
        ("com’ al cielo:", "elo"),
        ("d’ogne virtù».", "u"),
        ("cosi\u0300, ", "i"),
        ("per me", "e"),
        ("poi", "oi"),
        ("fïate", "ate"),
        ("Gloria", "ia"),
        ("mia", "ia"),
        ("’ngegno m’", ""),
        ("canto 34", "anto"),
        ("…", ""),
        ("", ""),
    ],
)
def test_the_ending_that_two_lines_share(line: str, end: str) -> None:
    assert verse.ending(line) == end


def test_pairs_of_tercets() -> None:
    assert ends(verse.pairs(TERCETS)) == PAIRS


def test_tercets_without_empty_lines_are_counted_from_the_first_line() -> None:
    assert ends(verse.pairs(TERCETS.replace("\n\n", "\n"))) == PAIRS


def test_tercets_by_indentation_alone() -> None:
    lines = [line.strip() for line in TERCETS.splitlines() if line]
    lines = ["    " * (place % 3 == 0) + line for place, line in enumerate(lines)]
    assert ends(verse.pairs("\n".join(lines))) == PAIRS
    assert ends(verse.pairs("\n".join(lines[2:]))) == PAIRS[2:]  # it begins with the last line of a tercet


def test_two_empty_lines_end_a_canto_and_a_short_stanza_ends_its_chain() -> None:
    cantos = "una a\ndue b\ntre a\n\n\n\nInferno • Canto II\n\n\nuna c\ndue d\n\nuna e\ndue f\ntre e\n\nquattro f"
    assert verse.pairs(cantos) == [("una a", "tre a"), ("una e", "tre e"), ("due f", "quattro f")]


def test_chance_is_the_mean_over_every_order_of_the_lines() -> None:
    lines = ["la vita", "smarrita", "oscura", "paura", "dura", "forte", "…"]
    shares = []
    for order in itertools.permutations(lines):
        pairs = verse.pairs("\n".join(order))
        shares.append(sum(verse.ending(one) == verse.ending(two) != "" for one, two in pairs) / len(pairs))
    assert verse.chance(lines) == pytest.approx(statistics.fmean(shares))
    assert verse.chance(["vita"]) is None


def test_figures_of_a_text() -> None:
    text = TERCETS + "  ma per trattar del ben ch"
    found = verse.figures(
        "generated", text, verse.Training.of("Nel mezzo\ndel cammin, la VITA, la morte;\n  ma poi"), 7
    )
    lines = [len(line.strip()) for line in TERCETS.splitlines() if line]
    assert (found.name, found.step, found.characters) == ("generated", 7, len(text))
    assert (found.line_length, found.line_spread) == pytest.approx((statistics.mean(lines), statistics.stdev(lines)))
    assert (found.copied, found.longest_copy) == (" morte;\n  ma p", 14)
    words = [word.strip(".,;!").lower() for word in text.split()][:-1]  # the last one is cut
    known = [word for word in words if word in ("nel", "mezzo", "del", "cammin", "la", "vita", "morte", "ma", "poi")]
    assert (found.words, found.known_words) == (len(words), pytest.approx(len(known) / len(words)))
    assert (found.rhymes, found.rhyme_pairs) == (1.0, 4)
    z, n = 1.959964, 4  # Wilson, 1927, for 4 of 4
    assert found.rhyme_interval == pytest.approx((n / (n + z * z), 1.0), abs=1e-6)
    assert found.chance == pytest.approx(
        (2 + 6 + 2) / (7 * 6)
    )  # of seven lines two end in ita, three in ura, two in orte


def test_lines_without_a_word_do_not_rhyme() -> None:
    found = verse.figures("x", "…\nuna\n34\n", verse.Training.of("una"))
    assert (found.rhymes, found.rhyme_pairs, found.chance) == (0.0, 1, 0.0)


@pytest.mark.parametrize("text", ["", "aaa", "\n\n\n", "una riga\n"])
def test_texts_with_nothing_to_count(text: str) -> None:
    found = verse.figures("x", text, verse.Training.of("una riga"))
    assert (found.rhymes, found.rhyme_interval, found.chance, found.line_spread) == (None,) * 4
    assert found.characters == len(text)


def test_moments_are_the_first_the_middle_and_the_last_sample_of_a_training() -> None:
    run = Run(home.runs() / "sampled")
    run.path.mkdir(parents=True)
    run.write_json("spec.json", {"task": "train", "batch": 4, "context": 8})

    def write(*samples: tuple[int, str]) -> None:
        lines: list[dict[str, Any]] = []
        for step, name in samples:
            told = {"event": "sample_text", "step": step, "sample": name}
            lines += [{**told, "text": "", "prompt": "\n"}, {**told, "text": f"at {step}", "done": True}]
        run.events.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))

    write()
    assert verse.moments(run) == ()
    write((10, "10"))
    assert [one.step for one in verse.moments(run)] == [10]
    write((0, "0"), (10, "10"), (20, "20"), (25, "25-1"), (30, "30"), (40, "40"), (50, "50"), (90, "90-2"))
    assert [(one.step, one.text) for one in verse.moments(run)] == [(0, "at 0"), (20, "at 20"), (50, "at 50")]


@pytest.fixture
def run(verse: Path, known_peak: float) -> Run:
    """A tiny training whose samples go on from the middle of a line."""
    made = spec(verse, sample_prompt="ma", steps=20)
    found: Run = new_run(made)
    for _ in owner.record(found, iter(train(made, run=found))):
        pass
    return found


def test_what_a_model_writes_is_measured(run: Run, verse: Path) -> None:
    from engine.lab.verse import measure

    events: list[Event] = []
    found = finish(measure(run, Control(), length=200, seed=3), events.append)
    trained = load(str(run.path))
    parts = only(SampleText, list(take_sample(trained, "ma", 200, 3, trained.spec["temperature"])))
    assert only(SampleText, events) == parts
    written = [one.done for one in only(Progress, events) if one.what == "writing verse"]
    assert written == sorted(set(written))
    assert (10 < len(written) <= 50, written[-1]) == (True, 200)
    assert not only(Finished, events)
    assert found.text == "".join(part.text for part in parts)
    assert (len(found.text), found.seed, found.run) == (200, 3, run.name)
    assert found.temperature == trained.spec["temperature"]
    text = verse.read_text("utf-8")
    cut = math.floor(len(text) * 0.9)
    begin = text.index("\n", cut) + 1
    assert found.corpus.characters == len(text[begin : begin + 200])
    assert found.corpus.copied in text[:cut]
    assert (found.generated.step, found.generated.name) == (trained.step, f"generated, step {trained.step}")
    assert "\n" in found.text
    assert found.generated.characters == len(found.text.partition("\n")[2])  # the prompt's line is no whole one
    assert found.generated.copied in text[:cut]
    assert [one.step for one in found.samples] == [0, 10, 20]
    assert finish(measure(run, Control(), length=200, seed=3)) == found


def test_a_stop_ends_the_measurement(run: Run) -> None:
    control = Control()

    def stop(event: Event) -> None:
        if isinstance(event, SampleText):
            control.send(Stop())

    with pytest.raises(Stopped):
        finish(verse.measure(run, control, length=10_000), stop)
