"""The report of the lab, read back by parsers of Markdown, HTML and XML, from made-up results."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import journals
import pytest
from markdown_page import cells, parsed
from scipy import stats

from checkpoints import home
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.comparison.statistics import PairedTest
from engine.lab.exercise import Claim, Exercise, Step, Verdict, Work
from engine.lab.progress import Lab, StepState
from engine.lab.record import Settings
from engine.lab.report import write
from engine.lab.results import (
    Comparison,
    Results,
    Rung,
    Sample,
    Temperatures,
    Tokenized,
    Tokens,
    Training,
    Verse,
    VerseFigures,
)
from engine.report import html
from engine.report.methods import Method

HOSTILE = """# heading
- item
1. one
a|b
:-:
```
<script>alert(1)</script>
[a](b) `c` *d* &lt; \\| ![x](y)
===
\x1b[31mred\x1b]0;t\x07 \u202e\u2066 end \ud800
    code
> more
~~~
http://x.y"""


def shown(content: str) -> str:
    return "".join(one if one.isprintable() else "·" for one in content)


def below_bigrams(results: Results) -> Verdict:
    found = results.training
    if found is None or found.best_loss is None or found.bigrams is None:
        return Verdict("not tested", "train first")
    holds = found.best_loss < found.bigrams
    return Verdict(
        "holds" if holds else "does not hold", f"{found.best_loss:.3f} against {found.bigrams:.3f} {HOSTILE}"
    )


def chance(results: Results) -> Verdict:
    return Verdict("could be chance", "p = 0.4") if results.comparisons else Verdict("not tested", "compare first")


def exercise(number: str, *works: Work, claims: Sequence[Claim] = ()) -> Exercise:
    steps = [Step(f"{number} {work.name}", "", "", "work", work.name) for work in works]
    steps += [Step(f"{number} claim {at}", "", "", "claim", works[0].name, one) for at, one in enumerate(claims)]
    return Exercise(number, f"Title {HOSTILE}", f"Text {HOSTILE}", works, tuple(steps), f"Why? {HOSTILE}")


def work(name: str, task: str) -> Work:
    return Work(name, task, "pane", f"Work {name}")


LAB = (
    exercise("1", work("inferno", "train"), work("verse", "verse"), claims=[Claim("Below bigrams", below_bigrams)]),
    exercise("2.1", work("tokens", "tokens")),
    exercise("2.2", work("ladder", "ladder"), work("temperatures", "temperatures")),
    exercise("3.1", work("emotion", "classify"), claims=[Claim(f"The same {HOSTILE}", chance, f"67% {HOSTILE}")]),
    exercise("3.2", work("questions", "choose")),
)
VERSE = VerseFigures("corpus", None, 5_000, 900, 0.875, (0.8, 0.9), 31, HOSTILE, 33.5, 4.25, 0.61, (0.5, 0.7), 80, 0.03)
RUNGS = (
    Rung("greedy", 0.0, (1,), (HOSTILE,), (0.9,), (-0.5,), (0.25,)),
    Rung(
        "temperature 0.7",
        0.7,
        (1, 2, 3),
        (HOSTILE, "b", "c"),
        (0.25, 0.5, 0.125),
        (-1.5, -2.0, -2.25),
        (0.5, 0.75, 1.0),
    ),
    Rung("temperature 2", 2.0, (1, 2, 3), ("x", "y", "z"), (0.0, 0.0, 0.0), (-6.5, math.nan, -7.0), (1.0, 1.0, 1.0)),
)
PAIR = PairedTest(0.25, 0.125, 0.375, 9, 2, 0.0625, 40)


def results() -> Results:
    methods = {
        name: Method("texts", name, "accuracy", figure, figure - 0.0625, low, 40)
        for name, figure, low in (("logistic regression", 0.75, 0.875), (HOSTILE, 0.5, 0.625), ("odd", 0.25, math.nan))
    }
    pairs = {("logistic regression", HOSTILE): PAIR, (HOSTILE, "logistic regression"): PAIR.reversed()}
    emotion = Comparison(
        "texts", "classify", HOSTILE, "MiniLM", True, 61.0, methods, pairs, (HOSTILE, "joy"), (7, 1234)
    )
    controls = {
        "margin": Method("questions", "margin", "accuracy", 0.3125, 0.25, 0.5, 8),
        "chance": Method("questions", "chance", "accuracy", 0.1875, 0.125, 0.25, 8),
    }
    pairs = {("weighted: lr", "emotion: lr"): PAIR, ("margin", "odd"): PAIR, ("emotion: lr", "weighted: lr"): PAIR}
    pairs |= {("weighted: lr", "weighted: mlp"): PAIR}  # tested among the methods of its own run already
    questions = Comparison("questions", "choose", "own", "", False, None, {}, pairs, (), (), controls, {"margin": 0.04})
    questions = replace(questions, notices=(HOSTILE,))
    losses = ((0, 4.0), (20, 2.25), (30, 2.5))
    samples = (Sample(0, HOSTILE), Sample(30, "nel mezzo"))
    hello = Tokenized("Hello World", (15496, 2159), ("Hello", " World"))
    words = (Tokenized(" the", (262,), (" the",)), Tokenized(" odd|", (1, 2), (" odd", "|")))
    own = (Tokenized("aaaa" * 30, (5,) * 30, ("aaaa",) * 30),)
    odd = Tokenized(HOSTILE, (1, 2), (HOSTILE, "|"))
    return Results(
        Training("lines", HOSTILE, True, 30, 12.0, 1234, 2.25, 20, losses, 3.5, 2.875, 2.4375, samples),
        Verse("lines", VERSE, (replace(VERSE, name=HOSTILE, step=10),), replace(VERSE, rhymes=None), HOSTILE, 7, 0.8),
        Tokens("gpt2", "bundled", (hello, odd), own, words, (1, 2), hello.ids),
        Temperatures("gpt2", "cache", HOSTILE, 60, RUNGS),
        {"emotion": emotion, "questions": questions},
    )


EMPTY = Lab(LAB, False, Settings(), {}, {}, Results(), {}, {}, {})


@pytest.fixture
def lab(older_runs: None) -> Lab:
    run = journals.training("lines", [3.0] * 30, {0: 4.0, 20: 2.25, 30: 2.5}, steps=30, corpus="/home/me/dante.txt")
    started = json.loads(run.events.read_text().splitlines()[0]) | {"bigram_entropy": 2.4375}
    run.events.write_text("\n".join([json.dumps(started), *run.events.read_text().splitlines()[1:], ""]))
    run.write_json("env.json", {"torch": HOSTILE, "python": "3.0.0"})
    runs = {"inferno": run, "emotion": Run(home.runs() / "texts"), "questions": Run(home.runs() / "questions")}
    steps = {step.name: StepState("done") for one in LAB for step in one.steps}
    answers = {one.number: HOSTILE for one in LAB[:-1]}
    done = {work.name: "done" for one in LAB for work in one.works}
    return Lab(LAB, False, Settings(), runs, done, results(), steps, answers, {"Hello World": 2})


class Reader(HTMLParser):
    """Collects the tags and attributes of a document, its images, and its texts; checks that what opens also closes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.images: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}
        self.images += [str(value) for name, value in attrs if name == "src"]
        if tag not in ("meta", "img", "hr", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.texts.append(data)


def test_every_figure_text_and_outcome_is_in_the_page(lab: Lab, tmp_path: Path) -> None:
    tokens = parsed(write(lab, tmp_path / "out"))
    rows = cells(tokens)
    for row in (
        ["1", "Below bigrams", "–", "holds", shown(f"2.250 against 2.438 {HOSTILE}")],
        ["3.1", shown(f"The same {HOSTILE}"), shown(f"67% {HOSTILE}"), "could be chance", "p = 0.4"],
        ["best validation loss, nats per character", "2.2500", "step 20"],
        ["bits per character", f"{2.25 / math.log(2):.4f}", "step 20"],
        ["loss of bigrams, nats per character", "2.4375", "–"],
        [
            "corpus",
            "5,000",
            "900",
            "87.5% (80.0% to 90.0%)",
            "31",
            "33.5 ± 4.2",
            "61.0% (50.0% to 70.0%)",
            "80",
            "3.0%",
        ],
        ["'Hello World'", "11", "2", "2", "15496, 2159", "'Hello' ' World'"],
        ["logistic regression", "0.7500", "0.6875 to 0.8750", "40"],
        ["odd", "0.2500", "–", "40"],
        ["joy", "1,234"],
        ["margin with the question hidden", "0.3125", "0.2500 to 0.5000", "8", "0.040"],
        ["chance", "0.1875", "0.1250 to 0.2500", "8", "–"],
        ["weighted: lr", "emotion: lr", "+0.2500", "0.1250 to 0.3750", "0.062"],
        ["margin", "odd", "+0.2500", "0.1250 to 0.3750", "0.062"],
        ["Work inferno", "lines", "1", "–", "dante"],
        ["python", "3.0.0", "lines"],
    ):
        assert row in rows
    assert any(row[-3:] == ["+0.2500", "0.1250 to 0.3750", "0.062"] for row in rows)
    assert [row[:2] for row in rows if "weighted: lr" in row] == [["weighted: lr", "emotion: lr"]]
    low, high = stats.t.interval(0.95, 2, 0.875 / 3, stats.sem(RUNGS[1].repetition))
    assert low < 0 < high < 1  # of a share
    assert any(row[:4] == ["temperature 0.7", "3", "0.2917", f"0.0000 to {high:.4f}"] for row in rows)
    low, high = stats.t.interval(0.95, 1, -6.75, stats.sem([-6.5, -7.0]))
    assert any(row[:6] == ["temperature 2", "3", "0.0000", "–", "-6.7500", f"{low:.4f} to {high:.4f}"] for row in rows)
    content = "".join(token.content for token in tokens if token.type in ("text", "code_inline"))
    for sentence in (
        "Claims: 2. Holds: 1, does not hold: 0, could be chance: 1, not tested: 0.",
        "Guesses that are right: 1 of 1.",
        "that are one token with the space before: 1 of 2. The others:",
        "Not answered yet.",
    ):
        assert sentence in content
    assert "Not done" not in content
    assert "Not finished" not in content
    blocks = [token.content for token in tokens if token.type == "fence"]
    written = "\n".join(map(shown, HOSTILE.split("\n"))) + "\n"
    assert blocks.count(written) == 4  # a sample, verse, two temperatures
    assert f"llmlab-tui sample lines --length {len(HOSTILE)} --temperature 0.8 --seed 7\n" in blocks
    assert any(block.startswith("llmlab-tui train ") and "--corpus dante.txt" in block for block in blocks)
    assert any(block.startswith("for seed in 1 2 3; do llmlab-tui sweep $'# heading") for block in blocks)
    assert "/home/me" not in (tmp_path / "out" / "lab.md").read_text()


def test_no_text_becomes_markup_and_tables_are_whole(lab: Lab, tmp_path: Path) -> None:
    page = write(lab, tmp_path, {"pane-lab.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>"})
    tokens = parsed(page)
    forbidden = {"html_block", "html_inline", "link_open", "ordered_list_open", "hr", "code_block", "lheading_open"}
    assert not {token.type for token in tokens} & forbidden
    kinds = [token.type for token in tokens]
    starts = [place for place, kind in enumerate(kinds) if kind == "blockquote_open"]
    assert len(starts) == len(LAB) - 1
    for start in starts:
        inside = set(kinds[start + 1 : kinds.index("blockquote_close", start)])
        assert inside == {"paragraph_open", "inline", "text", "hardbreak", "paragraph_close"}
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    assert len(headings) == 1 + 1 + len(LAB) * 2 + 2 + 6 + 3  # claims twice, works less the ladder, and the end
    lines = page.read_text().split("\n")
    tables = [lines[slice(*token.map)] for token in tokens if token.type == "table_open" and token.map]
    assert len(tables) == 13
    for one in tables:
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in one}) == 1, one
    names = [str(token.attrs["src"]) for token in tokens if token.type == "image"]
    own = ["temperatures-repetition.svg", "temperatures-log-probability.svg", "emotion-methods.svg"]
    assert names == ["inferno-loss.svg", *own, "questions-methods.svg", "pane-lab.svg"]
    for name in names:
        assert ElementTree.fromstring((tmp_path / name).read_text()).tag.endswith("svg")
    assert all(one.isprintable() or one == "\n" for one in page.read_text())


def test_the_html_has_the_same_texts_and_only_our_tags(lab: Lab, tmp_path: Path) -> None:
    page = write(lab, tmp_path)
    content = (tmp_path / "lab.html").read_text()
    found = Reader(content)
    assert found.open == []
    tags = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "h3",
        "p",
        "em",
        "strong",
        "code",
        "pre",
    }
    tags |= {"blockquote", "ul", "li", "br", "table", "thead", "tbody", "tr", "th", "td", "img"}
    assert found.found == tags | {"lang", "charset", "name", "content", "class", "src", "alt"}
    texts = "".join(found.texts)
    for token in parsed(page):
        if token.type in ("text", "code_inline", "fence"):
            assert token.content in texts
    names = [str(token.attrs["src"]) for token in parsed(page) if token.type == "image"]
    for name, source in zip(names, found.images, strict=True):
        kind, _, picture = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(picture) == (tmp_path / name).read_bytes()


def test_results_that_contradict_a_claim_are_said_to(lab: Lab, tmp_path: Path) -> None:
    training = lab.results.training
    assert training is not None
    worse = replace(lab, results=replace(lab.results, training=replace(training, best_loss=2.75)))
    page = write(worse, tmp_path).read_text()
    assert "Holds: 0, does not hold: 1, could be chance: 1, not tested: 0." in page
    assert "- **Does not hold**: Below bigrams 2.750 against 2.438" in page
    assert "<li><strong>Does not hold</strong>: Below bigrams 2.750" in (tmp_path / "lab.html").read_text()


def test_without_any_results_every_work_says_how_it_is_done(tmp_path: Path) -> None:
    page = write(EMPTY, tmp_path / "a" / "b").read_text()
    assert page.count("**Not done.** To do it: `llmlab-tui lab run --exercise 2.2`, or key 8") == 2
    assert page.count("**Not done.**") == 7
    assert page.count("Not answered yet.") == len(LAB)
    assert page.count("Steps done: 0 of") == len(LAB)
    assert "Holds: 0, does not hold: 0, could be chance: 0, not tested: 2." in page
    assert "Runs, seeds and data" not in page


def test_what_is_partly_done_is_shown_and_said_to_be_unfinished(lab: Lab, tmp_path: Path) -> None:
    works = lab.works | {"emotion": "failed", "inferno": "not started", "tokens": "running"}
    page = write(replace(lab, works=works, guesses={}), tmp_path).read_text()
    for mark, number in (("Failed", "3.1"), ("Not finished", "1"), ("Running", "2.1")):
        assert f"**{mark}.** To do it: `llmlab-tui lab run --exercise {number}`" in page
    assert "There are no guesses yet." in page
    assert "| **best validation loss**" in page


def test_a_failed_write_leaves_the_earlier_pages_whole(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    pages = [folder / name for name in ("lab.md", "lab.html")]
    write(EMPTY, folder)
    before = [page.read_bytes() for page in pages]
    (folder / "temperatures-repetition.svg").mkdir()
    with pytest.raises(OSError, match=r"temperatures-repetition\.svg"):
        write(lab, folder)
    assert [page.read_bytes() for page in pages] == before
    assert {path.name for path in folder.iterdir() if path.suffix != ".svg"} == {"lab.md", "lab.html"}
    (tmp_path / "new").touch()
    assert {page.stat().st_mode for page in pages} == {(tmp_path / "new").stat().st_mode}


def test_a_page_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    for name in ("lab.md", "lab.html"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(CheckpointError, match="--out"):
            write(EMPTY, tmp_path)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_raw_html_stays_text_even_where_a_page_holds_it() -> None:
    assert "<p>&lt;b&gt;x&lt;/b&gt;</p>" in html.render("<b>x</b>", "<i>", {})
