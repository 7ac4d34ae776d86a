"""What the Generate pane asks of the engine is what the command line asks of it."""

from __future__ import annotations

from pathlib import Path

import tinylm

from engine.lm.sampling import Sampling
from engine.runs.events import Token
from engine.runs.messages import Control
from tui.generate.generation_tasks import Probed, Source, Tokenized, complete, probe

PROMPT = "nel mezzo del cammin"


def test_a_model_that_begins_texts_with_a_token_gets_it_in_the_pane_too(tmp_path: Path) -> None:
    tinylm.write_llama(tmp_path)
    lm = tinylm.load(tmp_path)
    wanted = tinylm.complete(lm, PROMPT, greedy=True, max_new_tokens=6, score_prompt=True)
    lm.forget()
    source = Source("", [], PROMPT, 0)
    events = list(complete(lm, source, Sampling(greedy=True, max_new_tokens=6), Control()))
    (known,) = (event for event in events if isinstance(event, Tokenized))
    assert [number for number, _ in known.tokens] == lm.tokenizer.encode(PROMPT).ids
    assert tinylm.ids(events) == tinylm.ids(wanted)
    # The start of the text lies before the first place, so a token's probabilities arrive at its own.
    places = {known.base + token.index: token for token in tinylm.tokens(events, prompt=True)}
    assert [places[place].id for place in range(len(known.tokens))] == [number for number, _ in known.tokens]
    assert places[0].logprob is not None

    ids = lm.tokenizer.encode(PROMPT).ids
    (probed,) = (e for e in probe(lm, ids, Sampling(greedy=True), len(ids), Control()) if isinstance(e, Probed))
    first = next(event for event in wanted if isinstance(event, Token) and not event.prompt)
    assert (probed.token.id, probed.token.rank) == (first.id, first.rank)
