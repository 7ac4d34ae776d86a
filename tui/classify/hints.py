"""What F1 explains in the views of Classify."""

from __future__ import annotations

from engine.comparison.statistics import Report
from tui.follow.hints import TABLE, Line, Others
from tui.hints import Hint, Row

MANY = 6  # classes whose counts are named
BELIEVED = "At 0 the probabilities of a method can be taken as they are."
DIAGONAL = "The right ones are on the diagonal."
LOG_LOSS = Row(
    "log loss",
    "The mean −ln p of the true class is {value} nats per row.",
    "Equal probabilities for all classes would have {uniform} nats; confident mistakes cost most.",
    "cross-entropy",
)
CALIBRATED = Row(
    "calibration error",
    "Confidence and accuracy of {method} are {value} apart in the mean of ten bins of confidence.",
    BELIEVED,
    "calibration error",
)
OVERVIEW = (
    Row(
        "accuracy",
        "Of the {n} rows of the split {split}, {row} classifies a share of {value} correctly.",
        "The highest accuracy is {top}, of {best}.",
        "accuracy",
    ),
    Row(
        "p, vs best",
        "If {row} and {best} were equally good, a difference as large as theirs would have the probability {value}.",
        "It is McNemar's test, adjusted for all pairs; from 0.05 on the difference could be chance.",
        "paired test",
    ),
    Row(
        "no leaks",
        "Without the test rows that are also in train, {row} classifies a share of {value} correctly.",
        "Where that is far below {accuracy}, the accuracy comes from rows that were learned by heart.",
        "accuracy",
    ),
    Row(
        "macro-F1",
        "The mean F1 of all classes is {value}.",
        "Each class counts the same; a macro-F1 far below the accuracy says that rare classes are missed.",
        "macro F1",
    ),
    LOG_LOSS,
    Row(
        "calibration",
        "Confidence and accuracy of {row} are {value} apart in the mean of ten bins of confidence.",
        BELIEVED,
        "calibration error",
    ),
    CALIBRATED,
    Row(
        "seconds",
        "Training and testing of {row} took {value} seconds.",
        "The encoding of the texts is a cost of its own, which methods on frozen features share.",
    ),
    Row("time", "Training and testing of {method} took {value} seconds.", "Encoding the texts is not in it."),
    Row(
        "parameters trained",
        "{method} has {value} trained parameters.",
        "Those of a frozen encoder do not count; fine-tuning trains them all.",
        "parameter",
    ),
    Row(
        "against",
        "{value} are the numbers of rows that only {method} has right and that only {row} has right.",
        "Where both are right or both wrong, the rows say nothing about which is better.",
        "paired test",
    ),
    Row(
        "(Holm)",
        "For {method} against {row} the test gives {value}, adjusted for all pairs.",
        "From 0.05 on the difference could be chance.",
        "Holm",
    ),
    Line(
        "train",
        "Methods are trained on {train} rows, their settings are chosen on {held} and their figures come from {test}.",
        "No row of test was used for training or for choosing.",
        "validation",
        "train {train} validation {held} test {test}",
    ),
    *TABLE,
)
SHARES = (
    Line(
        "✓",
        "{method} gives the true class, {name}, the probability {share}.",
        "✗ marks another class with the highest probability.",
        "softmax",
        "✓ {name:words} {share}",
    ),
    Line(
        "✗",
        "{method} gives {name} the highest probability, {share}.",
        "The row belongs to another class.",
        "softmax",
        "✗ {name:words} {share}",
    ),
    Line(
        "%",
        "{method} gives {name} the probability {share}.",
        "Less probable classes are not drawn.",
        "softmax",
        r"(?<=%)  (?P<name>[^\s✓✗].*?) {share}",
    ),
)
MATRIX = (
    Line(
        "rows",
        "The matrix counts {count} rows of the split {split} by true and predicted class.",
        DIAGONAL,
        "confusion matrix",
        "{count} rows",
    ),
    Line(
        "as",
        "Of the {of} rows of the class {true}, {count} got the prediction {other}.",
        DIAGONAL,
        "confusion matrix",
        r"╭─ (?P<name>{true:words} as {other:words}): {count} of {of}",
    ),
    Line(
        "correct",
        "Of the {of} rows of this class, {count} got this prediction.",
        "This share is its recall.",
        "recall",
        "correct: {count} of {of}",
    ),
    Line(
        "true ↓",
        "Classes {first} to {last} of {all} are in the columns.",
        "The arrows move the others into view.",
        pattern="{first}–{last} of {all}",
    ),
    Row(
        "confident",
        "Beside each text stands the probability that {method} gives the predicted class, {value} for one of them.",
        "A mistake with a high probability is a hard case, or a wrong label.",
        "softmax",
    ),
    Line(
        "row",
        "This is row {row} of {all} in the split {split}.",
        "Below it stand the classes with the highest probabilities.",
        pattern="row {row} of {all}",
    ),
    *SHARES,
)
CLASSES = (
    Row(
        "precision",
        "Of the rows that {method} predicts as {row}, a share of {value} is right.",
        "With a recall of {recall} its F1 is {F1}.",
        "precision",
    ),
    Row(
        "recall",
        "Of the {rows} rows of {row}, {method} finds a share of {value}.",
        "With a precision of {precision} its F1 is {F1}.",
        "recall",
    ),
    Row("F1", "The F1 of {row} is {value}.", "It is the harmonic mean of {precision} and {recall}.", "F1"),
    Row(
        "rows",
        "{value} rows of the split {split} belong to {row}.",
        "The fewer there are, the less certain are the figures of the class.",
        "support",
    ),
    Line(
        "predicted as",
        "Of {rows} rows of the class, these are predicted as another one: {others}.",
        "The most frequent confusion comes first.",
        "confusion matrix",
        "predicted as {others:words} of {rows} rows",
    ),
    Line("bars", "Bars reach from {low} to {high}.", "They show F1.", "F1", "bars: F1 from {low} to {high}"),
)
CALIBRATION = (
    Row(
        "bin",
        "Rows are put into bins by confidence, the probability of the predicted class; the first is {value}.",
        "Rows in it: {rows}.",
        "calibration error",
    ),
    Row(
        "conf.",
        "In the bin {bin} the mean confidence is {value}.",
        "The accuracy there is {acc}: above the confidence {method} is underconfident, below it overconfident.",
        "calibration error",
    ),
    Row("acc.", "In the bin {bin} a share of {value} is right.", "The mean confidence there is {conf}.", "accuracy"),
    Row("rows", "Rows in the bin {bin}: {value}.", "The fewer there are, the less certain is its accuracy."),
    CALIBRATED,
    LOG_LOSS,
    Line("under", "○ marks bins of fewer than {few} rows.", "The line leaves them out.", pattern="under {few} rows"),
)
LABELS = (
    Row(
        "all",
        "Trained on all rows, {row} has the accuracy {value}.",
        "Where the curve has flattened out below it, more labels bring little.",
        "accuracy",
    ),
    Others(
        "labels per class",
        "With {title} labels of each class, {row} has the accuracy {value} on test.",
        "It is the mean of several random draws of the rows.",
        "learning curve",
    ),
    Line(
        "all labels",
        "The dotted lines are at the accuracy with all labels: {figure}.",
        "A curve that reaches its line needs no more labels.",
        "learning curve",
        "all labels {figure}",
    ),
)
SUSPECTS = (
    Line(
        "suspicious labels",
        "{count} rows of train probably have a wrong label.",
        "A model that was not trained on them gives another class a higher probability.",
        "label errors",
        "{count} suspicious labels",
    ),
    Row(
        "lead",
        "The suggested class of this row leads its label by {value} in probability.",
        "The largest come first; they are worth a look, no proof.",
        "label errors",
    ),
    Line(
        "suggested",
        "Without having seen the row, the model gives its label {own_label} {own} and {other_label} {other}.",
        "Several models were trained, each without a part of train.",
        "label errors",
        r"label {own_label:words} {own}   suggested {other_label:words} {other}",
    ),
    Line(
        "row", "The label stands in row {row} of the file.", "x exports all as a table.", pattern=r"╭─ \S+ row {row} ─"
    ),
)
SENTENCE = (
    Others(
        "probability of each class",
        "For the text that you typed, {title} gives {row} the probability of {value}.",
        "✓ marks the class with the highest probability; of each method they add up to 100%.",
        "softmax",
    ),
    Line(
        "leave-one-out effect",
        "Without the word {word} the probability of the class falls by {effect}.",
        "A negative effect says that the word is against the class.",
        "leave-one-out effect",
        r"(?P<word>[^\s│]+) (?P<effect>[+-]\d\.\d\d)",
    ),
    Line("more", "{more} classes are not drawn.", "All are less probable.", pattern="… {more} more"),
)
MAP = (
    Line(
        "texts",
        "The {count} texts are drawn by two directions of their features, in which {share} of the variance lies.",
        "Texts that lie apart here are apart; what lies together may differ in other directions.",
        "feature",
        "{count} texts, {share} of the variance",
    ),
    Line("texts", "The cursor is on text {place}.", "Arrows go to the nearest one.", pattern="─ {place} ─[╮╯]"),
    *SHARES,
)
VIEWS = {
    "overview": OVERVIEW,
    "matrix": MATRIX,
    "classes": CLASSES,
    "calibration": CALIBRATION,
    "labels": LABELS,
    "suspects": SUSPECTS,
    "sentence": SENTENCE,
    "map": MAP,
}


def matrix(report: Report, text: str) -> list[Hint]:
    """Of the counts in the matrix."""
    right = [row[place] for place, row in enumerate(report.confusion)]
    counts = dict.fromkeys(f"{count:,}" for row in report.confusion for count in row if count)
    some = ", ".join(f"{count:,}" for count in right[:MANY]) + ", …" * (len(right) > MANY)
    told = f"On the diagonal are the rows predicted correctly ({some}), {sum(right):,} of {report.rows:,} in all."
    more = "Every other cell counts rows of the class to the left that are predicted as the class above."
    return [Hint("true ↓", tuple(count for count in counts if count in text), f"{told} {more}", "confusion matrix")]
