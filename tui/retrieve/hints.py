"""What F1 explains in the views of Retrieve."""

from __future__ import annotations

from tui.classify.hints import MAP
from tui.follow.hints import LINES, TABLE, Line, Others
from tui.hints import Row

CHANCE = "It is adjusted for all pairs (Holm); from 0.05 on the difference could be chance."
FIGURES = (
    Row(
        "nDCG@10",
        "{row} reaches {value} on the {n} queries of the split {split}.",
        "1 would be all relevant documents first; of all methods {best} has the highest, {top}.",
        "nDCG@10",
    ),
    Row(
        "R@100",
        "Of the relevant documents of a query {row} has {value} among the first 100, in the mean.",
        "What is not found there, no later ranking can put on top.",
        "recall@100",
    ),
    Row(
        "queries/s",
        "{row} answers {value} queries per second.",
        "The encoding of the queries is in it.",
    ),
    Row(
        "MRR@10",
        "The mean of 1 / rank of the first relevant document is {value} for {row}.",
        "0.5 would be second place every time.",
        "MRR@10",
    ),
    Row(
        "MAP@100",
        "The mean average precision of {row} is {value}.",
        "It counts every relevant document among the first 100.",
        "MAP@100",
    ),
    Row("index", "The index of {row} takes {value} of memory.", "It was built in {built in}."),
    Row("built in", "Building the index of {row} took {value}.", "Encoding the documents is most of it."),
    Row(
        "mean",
        "The difference {row} in nDCG@10 is {value} in the mean over {n} queries.",
        "A positive one is in favour of the first method.",
        "nDCG@10",
    ),
    Row(
        "95%",
        "The 95% interval of the difference {row} is {value}.",
        "It is a bootstrap over queries; where it contains 0, the difference could be chance.",
        "bootstrap",
    ),
    Row(
        "p",
        "If both methods of {row} were equally good, so large a difference would have the probability {value}.",
        CHANCE,
        "paired test",
    ),
    Line(
        "best",
        "On held-out training queries the best nDCG@10 is {figure}, at step {step}.",
        "This state of the bi-encoder is kept; the judged queries have no part in it.",
        "bi-encoder",
        r"best {figure} at step {step}",
    ),
    *TABLE,
)
GAINS = (
    Line(
        "mean",
        "Over all judged queries the first method gains {mean} on the second in nDCG@10.",
        "The 95% interval is {low} to {high}.",
        "bootstrap",
        r"mean {mean}(?: {sure}: {low} to {high})?",
    ),
    Line(
        "this pair alone",
        "If both methods were equally good, so large a difference would have the probability {p}.",
        "It is not adjusted for other pairs.",
        "paired test",
        r"p = {p} \(this pair alone\)",
    ),
    Row(
        "gain",
        "In the query of the cursor the first method gains {value} in nDCG@10.",
        "Queries with the largest gain come first, those with the largest loss last.",
        "nDCG@10",
    ),
    Others("nDCG@10 by query", "{title} has {value} in the query of the cursor.", "1 is the best ranking.", "nDCG@10"),
    Line(
        "better",
        "The first method is better in {better} queries, worse in {worse}, and equal in {equal}.",
        "Equal ones say nothing about which is better.",
        "paired test",
        "{better} better · {worse} worse · {equal} equal",
    ),
)
BATCH = (
    Line(
        "cosine to own document",
        "The mean cosine of a query is {own} with its own document and {others} with those of the other queries.",
        "Training pulls the two apart.",
        "cosine similarity",
        "cosine to own document {own}   others {others}",
    ),
    Line(
        "right",
        "Of {all} queries, {right} have their own document nearest.",
        "◆ marks the others.",
        "in-batch negatives",
        "right {right}/{all}",
    ),
    Line(
        "loss",
        "At step {step} of at most {steps} the loss is {loss} nats.",
        "It is the cross-entropy over the cosines of each row.",
        "in-batch negatives",
        "step {step} of {steps}   loss {loss}",
    ),
    Line("cosine", "The faintest shade stands for a cosine from {shade}.", "A blank is less.", pattern="≥{shade}"),
    Line(
        "queries",
        "Row {row} and those below are queries.",
        "The columns are their documents, in the same order.",
        pattern=r"(?m)^│? +{row} [ ·░▒▓█◆]",
    ),
)
SEARCH = (
    Line(
        "nDCG@10",
        "For this query the first of the rankings reaches an nDCG@10 of {figure}.",
        "It is one of the {n} judged queries.",
        "nDCG@10",
        "nDCG@10 {figure}",
    ),
    Line("ms", "The first column took {time} ms for the query.", "Encoding the query is in it.", pattern="{time} ms"),
    Line(
        "step",
        "The trained column uses the encoder of step {step}.",
        "During training that is the last checkpoint, then the best.",
        "checkpoint",
        "step {step}",
    ),
    Line(
        "documents",
        "While the encoder is in training, {count} documents are searched.",
        "All are encoded at its end.",
        pattern=" {count} documents",
    ),
    Line(
        "rank",
        "Documents are in the order of the scores of their column, from {rank} on.",
        "● marks relevant ones.",
        "document",
        r"[▌ │]{rank} [● ] ",
    ),
    Line(
        "rank change",
        "▲ and ▼ tell by how many ranks a document is above or below its rank in BM25, such as {by}.",
        "new is not among the first 100 of BM25.",
        "BM25",
        "[▲▼]{by}",
    ),
    Line(
        "relevant",
        "Relevant documents of this query in the qrels: {count}.",
        "The measures are computed from their ranks.",
        "qrels",
        "{count} relevant document",
    ),
    Line(
        "rank in",
        "The document has these ranks: {ranks}.",
        "> says that it is not among the first 100.",
        "document",
        r"(?m)rank in {ranks:words}(?: │)?$",
    ),
    LINES,
)
VIEWS = {
    "figures": FIGURES,
    "gains": GAINS,
    "batch": BATCH,
    "search": SEARCH,
    "map": (
        *MAP[:2],
        Line(
            "ranked",
            "◆ marks the documents on ranks {first} to {last} of the frozen mean for this query.",
            "They should lie near it.",
            "mean pooling",
            "ranked {first}–{last} by",
        ),
    ),
}
