"""The features of the judged texts that a classification has left in the cache."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from checkpoints.run import Run
from engine.classify import runs as classify_runs
from engine.classify.results import Store
from engine.encoders import find
from engine.encoders.features import ROWS, Features, group_of, pieces_of, shelf
from engine.runs.events import Event
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    from engine.encoders.features import Matrix


def stored(run: Run, texts: Sequence[str], control: Control) -> Generator[Event, None, Matrix | None]:
    """The features ``(texts, width)`` of a run's judged ``texts``, read from the disk; None where not all are there.

    Nothing is computed and nothing downloaded that the run did not need. Yields what finding the encoder yields.
    Raises :class:`engine.encoders.find.NoEncoder`, :class:`OSError`, :class:`ValueError` where a file is damaged.
    """
    from engine.device import place

    spec, about = classify_runs.spec_of(run), run.read_json(Store.ABOUT)
    known = about.get("encoder")
    if not isinstance(known, dict) or not texts:
        return None
    encoder = yield from find.find(str(known["name"]), control)
    if encoder.identity != known.get("identity"):
        return None
    length, names = min(spec.length, encoder.positions), pieces_of(spec.pooling, encoder)
    precision, group = place(spec.device).precision, group_of(spec.pooling)
    shelved = shelf(encoder.identity, encoder.prompted(texts), length, precision, group)
    shards = []
    for number in range(-(-len(texts) // ROWS)):
        shard = shelved.shard(number, names)
        if shard is None:
            return None
        shards.append(shard)
        yield from handle_messages(control, 0)
    return Features(shards, len(texts), encoder).pooled(spec.pooling)
