"""The encoding of texts in the ranks above 0: their part of the shards, as rank 0 sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.distributed as dist

from engine.encoders.encode import compute_shards, machine_for
from engine.encoders.features import Shelf
from engine.encoders.find import Encoder
from engine.encoders.sharing import DONE, ENDED, FAILURE, GO, PAUSE, STATE, unpacked
from engine.errors import first_line
from engine.ranks import Ranks
from engine.runs.messages import Continue, Control, Message, Pause, Stop, Stopped


def encode_share(ranks: Ranks) -> None:
    """Compute this rank's shards and put them on the disk. Rank 0 is told of an error, and computes what is missing."""
    record, flat = ranks.receive()
    store = dist.TCPStore("127.0.0.1", record["port"], is_master=False)  # type: ignore[attr-defined]

    def told() -> list[Message]:
        state = store.get(STATE).decode()
        return [Continue() if state == GO else Pause() if state == PAUSE else Stop()]

    no_tokenizer: Any = None
    try:
        weights = tuple(map(Path, record["weights"]))
        encoder = Encoder(record["name"], record["source"], record["config"], weights, no_tokenizer)
        machine, control = machine_for(encoder, record["device"], record["budget"]), Control(told)
        shelf = Shelf(Path(record["shelf"]), record["group"])
        for part in unpacked(record["sizes"], flat)[ranks.rank - 1 :: ranks.world - 1]:
            for _ in compute_shards([part], record["names"], control, machine, shelf, {}):
                pass
            store.add(DONE, len(part.ids))
        store.add(ENDED, 1)
    except Stopped:
        store.add(ENDED, 1)
    except Exception as error:
        store.set(FAILURE, first_line(error))
        store.add(ENDED, 1)
