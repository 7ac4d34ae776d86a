"""A training in the ranks above 0: they take everything from rank 0, and every step as it says."""

from __future__ import annotations

import dataclasses

import numpy as np

from data.corpus import Corpus, Facts
from data.vocabulary import Vocabulary
from engine.device import out_of_memory, place
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Trainer
from engine.ranks import Order, Ranks
from engine.runs.spec import restored, to_dict


def send_training(trainer: Trainer) -> None:
    """Tell the other ranks what is trained on what, and from where on; of rank 0."""
    ranks, spec, corpus, position = trainer.ranks, trainer.spec, trainer.corpus, trainer.position
    if ranks.world > 1:
        record = {
            "spec": to_dict(spec),
            "step": position.step,
            "micro_batch": position.micro_batch,
            "facts": dataclasses.asdict(corpus.facts),
            "vocabulary": list(corpus.vocabulary.characters),
            "fingerprint": corpus.fingerprint,
        }
        ranks.send_order(Order.TRAIN)
        ranks.send(record, np.asarray(corpus.ids))
    trainer.meet()


def receive_training(ranks: Ranks) -> Trainer:
    """What rank 0 sends: spec, corpus, weights and optimizer. Needs neither the run directory nor the corpus file."""
    record, ids = ranks.receive()
    facts = Facts(**record["facts"])
    corpus = Corpus(ids, Vocabulary(record["vocabulary"]), facts, record["fingerprint"], "", "")
    spec = restored(TrainSpec, record["spec"])
    trainer = Trainer(spec, corpus, place(spec.device, spec.precision, spec.threads), ranks)
    trainer.position.step, trainer.position.micro_batch = record["step"], record["micro_batch"]
    trainer.meet()
    return trainer


def follow_order(trainer: Trainer, order: Order, value: float) -> None:
    """Do what rank 0 does at the same time. Raises :class:`engine.ranks.RankLost`."""
    try:
        match order:
            case Order.STEP:
                trainer.step(value)
            case Order.EVALUATE:
                trainer.evaluation_tokens = int(value)
                for _ in trainer.evaluate():
                    pass
            case Order.MICRO_BATCH:
                trainer.take_micro_batch(int(value))
    except RuntimeError as error:
        if not out_of_memory(error):  # rank 0 gets the same error, and tells what comes next
            raise
