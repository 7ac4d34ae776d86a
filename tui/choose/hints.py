"""What F1 explains in the views of Choose."""

from __future__ import annotations

from tui.follow.hints import TABLE, Line, Others
from tui.hints import Row

SOFTMAX = "Only differences of scores count; of each method the shares add up to 100%."
OVERVIEW = (
    Row(
        "accuracy",
        "{row} answers a share of {value} of the questions correctly.",
        "Of all methods {best} has the highest, {top}; guessing can expect {chance}.",
        "accuracy",
    ),
    Row(
        "hidden",
        "With the question hidden, {row} still has {value} right, of {accuracy} with it.",
        "▲ marks a method that is not better with the question by more than chance: the choices may suffice.",
        "question hidden",
    ),
    Row(
        "shuffled",
        "With its choices in another order, {row} has {value} right, of {accuracy} in the order of the data.",
        "A difference says that the position of a choice matters to the method.",
        "choices shuffled",
    ),
    Row(
        "seconds",
        "Training and scoring of {row} took {value} seconds.",
        "Encoding questions and choices is a cost of its own.",
    ),
    Line(
        "against chance",
        "Guessing can expect {chance} right; against it {method} has {p}.",
        "Where p is not small, the method may be guessing.",
        "chance",
        "against chance {chance}: (?P<p>p [<=] [0-9.]+)",
    ),
    Line(
        "question hidden",
        "With the question hidden {method} has {hidden} right; the test of the difference gives {p}.",
        "A small p with a higher accuracy says that the question is used.",
        "question hidden",
        "question hidden {hidden}: (?P<p>p [<=] [0-9.]+)",
    ),
    Line(
        "choices shuffled",
        "In another order of the choices {changed} of {items} answers change.",
        "A method that scores each choice by itself changes none, rounding aside.",
        "choices shuffled",
        "choices shuffled: {changed} of {items} answers change",
    ),
    Line(
        "could not be scored",
        "{count} items have a choice without a finite score.",
        "They are left out of every figure.",
        pattern="{count} items could not be scored",
    ),
    Line(
        "truncated",
        "Of {count} items the question was too long for the model.",
        "Its beginning was left out.",
        "context",
        "{count} items had their question truncated",
    ),
    Line(
        "partial",
        "The figures are of {done} of {all} questions.",
        "The others had no turn before the run was stopped.",
        pattern="partial: {done} of {all}",
    ),
    Line(
        "position",
        "{method} chooses position {letter} in {chosen} of the questions, and in {right} it is correct.",
        "Where the two differ much, the method prefers positions.",
        "choices shuffled",
        "(?P<letter>[A-Z]) {chosen}/{right}",
    ),
    Row(
        "margin",
        "In this fifth of the questions the best choice leads the second by {value}.",
        "Of these {items} questions, {accuracy} are right; the share should rise with the margin.",
        "margin",
    ),
    Row(
        "items",
        "Each fifth by margin has about as many questions, here {value}.",
        "The fewer there are, the less certain is their accuracy.",
        "margin",
    ),
    *TABLE,
)
CARD = (
    Others(
        "softmax",
        "{title} gives the choice {row} this score and this share: {value}.",
        SOFTMAX,
        "softmax",
    ),
    Line(
        "lead",
        "The best choice leads the second by a score of {lead}.",
        "A small lead says that the method hesitates.",
        "margin",
        "lead {lead}",
    ),
    Row(
        "sum",
        "The log-probabilities of the tokens of choice {row} add up to {value} nats.",
        "The sum favours short choices.",
        "log-probability",
    ),
    Row(
        "token",
        "The mean log-probability of a token of choice {row} is {value} nats.",
        "It favours choices of frequent word pieces.",
        "log-probability",
    ),
    Row(
        "character",
        "The sum of choice {row} divided by its characters is {value} nats.",
        "Zero-shot takes the choice in which it is highest.",
        "per-character score",
    ),
    Row(
        "pmi",
        "The question raises the log-probability of choice {row} by {value} nats, against a prompt without it.",
        "Choices that are probable anyway gain nothing.",
        "PMI",
    ),
    Row(
        "tokens (bold: less probable)",
        "Beside the tokens of each choice stand their log-probabilities: {value}.",
        "The lowest decide the sum.",
        "log-probability",
    ),
    Line(
        "zero-shot",
        "Beside the tokens of each choice stand their log-probabilities: {tokens}.",
        "The lowest decide the sum.",
        "log-probability",
        r"(?m)[ │] [A-Z] (?P<tokens>\S+-\d+\.\d\b.*?)\s*│?$",
    ),
    Line("your question", "▲ and ▼ say by how many ranks a choice has moved: {by}.", "", pattern="[▲▼]{by}"),
)
ITEMS = (
    Line(
        "questions",
        "The list has {count} questions of {method}.",
        "f lists others, s sorts them otherwise.",
        pattern=r"{count}(?: \w+)? questions,",
    ),
    Line(
        "right",
        "{method} has {wrong} questions wrong and {right} right.",
        "The share of the right ones is its accuracy.",
        "accuracy",
        "{wrong} wrong · {right} right",
    ),
    Line(
        "question",
        "This is question {place} of the {all} in the list.",
        "Arrows go to the others.",
        pattern="question {place} of {all}",
    ),
    Row(
        "lead",
        "In the question of the cursor the correct choice leads the best other one by a score of {value}.",
        "Where it is negative, another one was chosen.",
        "margin",
    ),
    Row(
        "confidence",
        "The choice of {method} has {value} of the softmax of the scores.",
        "The most confident wrong ones are hard questions, or wrong answers in the data.",
        "softmax",
    ),
    *CARD,
)
VIEWS = {"overview": OVERVIEW, "items": ITEMS, "own": CARD}
