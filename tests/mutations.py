"""Breaks the program on purpose, one place at a time, and prints which test notices.

By hand: ``make mutations`` for all, ``make mutations ONLY="warm-up RRF"`` for those with one of these words in their
title. Each mutation replaces one piece of text in a copy of the checkout and runs the tests named beside it until the
first fails. Exit status 1: a mutation that no test noticed. ``test_mutations.py`` checks that the texts are there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Mutation:
    """One wrong program: ``before`` stands once in ``file`` and becomes ``after``; a test below ``tests`` must fail."""

    title: str
    file: str
    before: str
    after: str
    tests: str
    """folders or files below ``tests``, separated by spaces, the likeliest first"""


MUTATIONS = (
    # -- what a method is trained and chosen on ---------------------------------------------------------------------
    Mutation(
        "C and the epoch of a head are chosen on the test split",
        "engine/classify/task.py",
        'held_out = Labelled("validation", data.validation.texts, data.validation.labels)',
        'held_out = Labelled("test", data.test.texts, data.test.labels)',
        "engine/classify",
    ),
    Mutation(
        "a scorer of choices is stopped early on the judged items",
        "engine/choose/task.py",
        'held_out = Labelled("held_out", data.held_out, [item.gold for item in data.held_out])',
        'held_out = Labelled("judged", data.judged, [item.gold for item in data.judged])',
        "engine/choose",
    ),
    Mutation(
        "choosing is trained on what was held out",
        "engine/choose/contenders.py",
        "parts = features.pairs(train.split), features.pairs(held_out.split)",
        "parts = features.pairs(held_out.split), features.pairs(held_out.split)",
        "engine/choose",
    ),
    Mutation(
        "heads are trained on validation",
        "engine/classify/contenders.py",
        "learnt = features.rows(train.split), train.labels",
        "learnt = features.rows(held_out.split), held_out.labels",
        "engine/classify",
    ),
    Mutation(
        "suspicious labels come from a model that has seen the rows",
        "engine/comparison/labels.py",
        "train = features[rows[kept]], gold[kept].tolist()",
        "train = features[rows], gold.tolist()",
        "engine/comparison engine/classify",
    ),
    Mutation(
        "the bi-encoder holds out queries that it is trained on",
        "engine/retrieve/training_data.py",
        "for query in parts.train for row in sorted(self.relevant[query] - unseen)",
        "for query in (*parts.train, *parts.held) for row in sorted(self.relevant[query])",
        "engine/retrieve",
    ),
    # -- training ----------------------------------------------------------------------------------------------------
    Mutation(
        "false negatives count as negatives",
        "engine/retrieve/training_data.py",
        "place != pair and (row in self.relevant[query] or row == self.own[query])",
        "False",
        "engine/retrieve",
    ),
    Mutation(
        "false negatives are not masked in the loss",
        "engine/retrieve/bi_encoder.py",
        "if false_negatives is not None:",
        "if false_negatives is not None and not len(false_negatives):",
        "engine/retrieve",
    ),
    Mutation(
        "the last epoch of a head is kept instead of the best",
        "engine/comparison/head_training.py",
        "model.load_state_dict(best[2])",
        "pass",
        "engine/comparison engine/choose engine/classify",
    ),
    Mutation(
        "the last epoch of a fine-tuning is kept instead of the best",
        "engine/encoders/epochs.py",
        "model.load_state_dict(training.best_weights)",
        "pass",
        "engine/encoders engine/classify engine/choose",
    ),
    Mutation(
        "the worst epoch of a fine-tuning counts as the best",
        "engine/encoders/epochs.py",
        "return max(range(len(history))",
        "return min(range(len(history))",
        "engine/encoders engine/classify engine/choose",
    ),
    Mutation(
        "weight decay: groups swapped in fine-tuning",
        "engine/encoders/epochs.py",
        "(matrices if parameter.dim() > 1 else others)",
        "(others if parameter.dim() > 1 else matrices)",
        "engine/encoders engine/classify engine/choose",
    ),
    Mutation(
        "weight decay: biases and norms of the GPT decay too",
        "engine/gpt/optimizers.py",
        "spec.weight_decay if decays else 0.0",
        "spec.weight_decay",
        "engine/gpt",
    ),
    Mutation(
        "class weights are inverted",
        "engine/encoders/class_weights.py",
        "(len(labels) / (classes * counts))",
        "((classes * counts) / len(labels))",
        "engine/encoders engine/comparison engine/classify",
    ),
    Mutation(
        "warm-up removed from fine-tuning",
        "engine/encoders/epochs.py",
        "return (step + 1) / warm",
        "return 1.0",
        "engine/encoders engine/classify",
    ),
    Mutation(
        "warm-up removed from the GPT's training",
        "engine/gpt/spec.py",
        "return peak * (step + 1) / (self.warmup + 1)",
        "return peak",
        "engine/gpt",
    ),
    Mutation(
        "fine-tuning: gradients are not clipped",
        "engine/encoders/epochs.py",
        "torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)",
        "pass",
        "engine/encoders engine/classify engine/choose",
    ),
    # -- figures -----------------------------------------------------------------------------------------------------
    Mutation(
        "RRF with k = 1",
        "engine/retrieve/metrics.py",
        "k: int = 60",
        "k: int = 1",
        "engine/retrieve",
    ),
    Mutation(
        "McNemar: which method is better is swapped",
        "engine/comparison/statistics.py",
        "better, worse = int((gaps > ROUNDING).sum()), int((gaps < -ROUNDING).sum())",
        "better, worse = int((gaps < -ROUNDING).sum()), int((gaps > ROUNDING).sum())",
        "engine/comparison",
    ),
    Mutation(
        "queries that a ranker does better and worse are swapped",
        "engine/retrieve/task.py",
        "paired_test(one[name], two[name], self.spec.seed)",
        "paired_test(two[name], one[name], self.spec.seed)",
        "engine/retrieve",
    ),
    Mutation(
        "the verdict on hidden questions is inverted",
        "engine/choose/task.py",
        "compared.append(pair(judged[name], hidden, self.spec.seed))",
        "compared.append(pair(hidden, judged[name], self.spec.seed))",
        "engine/choose",
    ),
    Mutation(
        "hidden questions: the questions are not hidden",
        "engine/choose/scorer.py",
        "Pairs(np.zeros_like(self.question), self.choice, self.choice, self.there, self.gold)",
        "Pairs(self.question, self.choice, self.pair, self.there, self.gold)",
        "engine/choose",
    ),
    Mutation(
        "epochs are computed from a tenth of the training part",
        "engine/gpt/trainer.py",
        "self.train_tokens = len(train_ids)",
        "self.train_tokens = len(train_ids) // 10",
        "engine/gpt tui",
    ),
    Mutation(
        "verdicts: better and worse are swapped",
        "engine/comparison/verdict.py",
        'groups = (("better than", better), ("worse than", worse))',
        'groups = (("better than", worse), ("worse than", better))',
        "engine/comparison",
    ),
    Mutation(
        "Holm: every p is multiplied by one",
        "engine/comparison/statistics.py",
        "(len(ps) - rank) * ps[place]",
        "ps[place]",
        "engine/comparison",
    ),
    Mutation(
        "splits: identical texts may be in train and in test",
        "data/tables.py",
        "normalized(text) if together else row",
        "row",
        "data",
    ),
    Mutation(
        "a query finds itself",
        "engine/retrieve/task.py",
        "ranked.without(row).top(DEPTH)",
        "ranked.top(DEPTH)",
        "engine/retrieve",
    ),
    Mutation(
        "Recall@100 is counted at 10",
        "engine/retrieve/metrics.py",
        "R @ 100: RECALL",
        "R @ 10: RECALL",
        "engine/retrieve",
    ),
    Mutation(
        "macro F1 is weighted by the classes' rows",
        "engine/comparison/statistics.py",
        'average="macro"',
        'average="weighted"',
        "engine/comparison engine/classify",
    ),
    Mutation(
        "chance of choices: every item counts as if it had four",
        "engine/choose/report.py",
        "return sum(1 / len(item.choices) for item in items) / len(items)",
        "return sum(1 / 4 for item in items) / len(items)",
        "engine/choose",
    ),
    Mutation(
        "features are standardised by the rows that are judged",
        "engine/comparison/heads.py",
        "(features - self.mean) / self.scale",
        "(features - features.mean(0)) / features.std(0)",
        "engine/comparison engine/classify",
    ),
    Mutation(
        "the validation loss of a GPT is that of its first part",
        "engine/gpt/trainer.py",
        "train_ids, self.validation = corpus.split()",
        "train_ids, self.validation = corpus.split()[0], corpus.split()[1][: len(corpus.split()[1]) // 2]",
        "engine/gpt",
    ),
    Mutation(
        "cost: each method pays for the encoding that all share",
        "engine/classify/task.py",
        "seconds = time.monotonic() - begun",
        "seconds = time.monotonic() - begun + sum(one.seconds or 0 for one in self.features.encodings)",
        "engine/comparison/test_encoding_cost.py",
    ),
    Mutation(
        "cost: a ranker pays for the encoding of the documents",
        "engine/retrieve/rankers.py",
        "self.encoding += time.monotonic() - begun",
        "self.encoding += 0.0",
        "engine/comparison/test_encoding_cost.py",
    ),
    Mutation(
        "cost: features from the disk cost nothing",
        "engine/encoders/features.py",
        "found[name].item() if name in found else None",
        "0 if name in found else None",
        "engine/encoders",
    ),
    Mutation(
        "features: what a stop within a shard has left is not looked for",
        "engine/encoders/features.py",
        "for file in place.parts(number):",
        "for file in ():",
        "engine/encoders",
    ),
    Mutation(
        "truncation: a text that just fits counts as cut",
        "engine/encoders/find.py",
        "bool(one.overflowing)",
        "len(one.ids) == length",
        "engine/encoders",
    ),
    Mutation(
        "seeds: figures are those of the first seed",
        "engine/classify/task.py",
        "sum(getattr(one, name) for one in reports) / len(reports)",
        "getattr(reports[0], name)",
        "engine/classify/test_seeds.py",
    ),
    Mutation(
        "seeds: the paired test is over the first seed",
        "engine/comparison/seeds.py",
        "np.asarray(np.mean(right, axis=0))",
        "np.asarray(right[0])",
        "engine/classify/test_seeds.py",
    ),
    Mutation(
        "splits: identical questions may be trained on and judged",
        "data/choices.py",
        "if place not in chosen and len(chosen) + len(group) <= count:\n            chosen.update(group)",
        "if place not in chosen and len(chosen) < count:\n            chosen.add(place)",
        "data",
    ),
    Mutation(
        "BM25: a text without spaces is one word",
        "engine/comparison/scripts.py",
        "found = [run[place : place + 2] for run in runs for place in range(max(1, len(run) - 1))]",
        "found = runs",
        "engine/retrieve/test_retrieve.py",
    ),
    Mutation(
        "a second encoder's vectors are those of the first",
        "engine/retrieve/rankers.py",
        'matrix = yield from self.frozen(pooling, control, name if method != pooling else "")',
        "matrix = yield from self.frozen(pooling, control)",
        "engine/retrieve/test_retrieve.py",
    ),
)


def _copy(target: Path) -> None:
    """The checkout as it is, new files included, ignored ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def noticed(mutation: Mutation, checkout: Path) -> str:
    """The first test that fails on the mutated copy, or nothing."""
    file = checkout / mutation.file
    whole = file.read_text()
    file.write_text(whole.replace(mutation.before, mutation.after))
    try:
        for part in mutation.tests.split():
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", f"tests/{part}"],
                cwd=checkout,
                env=os.environ | {"PYTHONPATH": str(checkout)},
                capture_output=True,
                text=True,
            )
            if found := FAILED.search(done.stdout):
                return found[1]
            if done.returncode:
                return f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
    finally:
        file.write_text(whole)
    return ""


def main(words: list[str]) -> int:
    """Apply the mutations whose title has one of the words, all without words; 1 if one is not noticed."""
    chosen = [one for one in MUTATIONS if not words or any(word.lower() in one.title.lower() for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        _copy(checkout)
        for mutation in chosen:
            begun = time.monotonic()
            found = noticed(mutation, checkout)
            missed += not found
            print(f"{mutation.title}\n    {found or 'NOT NOTICED'}  ({time.monotonic() - begun:.0f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} noticed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
