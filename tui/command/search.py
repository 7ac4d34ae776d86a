"""``llmlab-tui search``: a collection searched with one or several methods, without the screen."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from engine.retrieve.spec import RetrieveSpec
from engine.runs.messages import Control, finish
from engine.runs.spec import BadSpec, Problem
from tui.command.driven import DONE
from tui.command.narrate import Narrator
from tui.command.options import Json, Texts
from tui.output import print_json, print_message, say
from tui.text import safe

_Method = Literal["bm25", "cls", "mean", "hybrid", "trained"]


def search(
    *query: Annotated[str, Texts],
    data: str = "",
    method: Annotated[list[_Method] | None, Parameter(negative="")] = None,
    k: Annotated[int, Parameter(name=["--k", "-k"])] = 10,
    encoder: str = "",
    run: str = "",
    text_column: str = "",
    encoding: str = "",
    json: Json = False,
) -> int:
    """Search a collection. Indexes are built once and cached.

    Parameters
    ----------
    query
        The query; without it, the first line of stdin.
    data
        As for retrieve. Default: the data of --run, else workshop.
    method
        bm25, cls, mean, hybrid or trained; repeat the option for several. Default: hybrid.
    k
        Documents to show.
    encoder
        As for retrieve. Default: the encoder of --run.
    run
        Run whose bi-encoder is used for trained: name, path or latest. Default: the newest on this collection.
    text_column
        Field of the documents' texts; found by its name if not given.
    encoding
        Encoding of the text files; found in each file if not given.
    """
    from data.beir import BUNDLED
    from engine.retrieve.runs import spec_of
    from engine.retrieve.search import library, newest_on
    from engine.retrieve.spec import TRAINED
    from engine.runs.tasks import absolute

    text = " ".join(query).strip()
    if not text and not sys.stdin.isatty():
        text = sys.stdin.buffer.readline().decode("utf-8", "replace").strip()
    if not text:
        raise BadSpec([Problem("", "no query: give it as an argument or through a pipe")])
    if not 1 <= k <= 10_000:
        raise BadSpec([Problem("k", "must be between 1 and 10,000")])
    methods: list[str] = list(dict.fromkeys(method)) if method else ["hybrid"]
    owner: Run | None = None
    spec = RetrieveSpec(data=absolute(data) if data else BUNDLED)
    if run:
        owner = runs.find(home.runs(), run)
        trained = spec_of(owner)
        spec = trained if not data else replace(trained, data=spec.data)
    elif TRAINED in methods and (known := newest_on(spec.data)) is not None:
        owner, spec = known
    changes: dict[str, Any] = {"encoder": encoder, "text_column": text_column, "encoding": encoding}
    spec = replace(spec, **{name: value for name, value in changes.items() if value})
    if problems := spec.validate():
        raise BadSpec(problems)
    narrator = Narrator(as_json=False, quiet=json)
    opened = finish(library(spec, Control(), owner), narrator.tell)
    for line in (*opened.collection.repairs, *opened.collection.checks):
        print_message(line)
    found: dict[str, list[dict[str, Any]]] = {}
    seconds: dict[str, float] = {}
    for name in methods:
        ranker = finish(opened.ranker(name, Control()), narrator.tell)
        begun = time.perf_counter()
        (ranked,) = ranker.rank([text], k)
        seconds[name] = round(time.perf_counter() - begun, 4)
        found[name] = []
        for rank, (row, score) in enumerate(zip(ranked.rows, ranked.scores, strict=True), 1):
            collection = opened.collection
            document = {"id": collection.ids[row], "title": collection.titles[row], "text": collection.texts[row]}
            found[name].append({"rank": rank, "score": round(float(score), 6), **document})
    for name, hits in found.items():
        if json:
            for hit in hits:
                print_json({"event": "hit", "method": name, **hit})
            continue
        if len(found) > 1:
            say(f"{name}:")
        for hit in hits:
            about = " ".join(f"{hit['title']}  {hit['text']}".split())
            shown = safe(about, lines=False)[:160]
            say(f"{hit['rank']:>3}  {hit['score']:>9.4f}  {safe(hit['id'], lines=False)}  {shown}")
        if not hits:
            say("  no query word occurs in any document")
    if json:
        counts = {name: {"hits": len(hits), "seconds": seconds[name]} for name, hits in found.items()}
        print_json({"event": "finished", "reason": "done", "query": text, "results": counts})
    return DONE
