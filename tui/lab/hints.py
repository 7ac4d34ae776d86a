"""What F1 explains in the Lab: how far it is, what decides its claims, and the terms of the selected step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tui.follow.hints import VIEWS, drawn_of, of_view
from tui.hints import Hint
from tui.lab.views import Shown

if TYPE_CHECKING:
    from engine.lab.exercise import Outcome

DECIDED: Mapping[Outcome, str] = {
    "holds": "These figures of your own results decide for the claim.",
    "does not hold": "These figures of your own results decide against the claim.",
    "could be chance": "An interval contains the limit, or a p is 0.05 or more, so the claim stays open.",
    "not tested": "The sentence says what is missing.",
}


def of_lab(shown: Shown, text: str) -> list[Hint]:
    """Of the list and the selected exercise; ``text`` is what is drawn."""
    found = of_view(VIEWS["lab"], (), text, {})
    if shown.lab is None:
        return found
    exercise, here = shown.here
    name: str
    for step in sorted(exercise.steps, key=lambda step: step is not here):  # of equal outcomes the selected one first
        known = shown.found(step) if not shown.hides(exercise, step) else None
        if known is not None and (verdict := known.verdict) is not None:
            name, figures = verdict.outcome, verdict.why
            said = f"{step.title}: {figures.rstrip('.')}. {DECIDED[verdict.outcome]}"
        elif known is not None and known.result:
            name, figures = step.title, known.result
            said = f"{step.title}: {figures.rstrip('.')}. This is read from the results on the disk."
        else:
            continue
        name = name if name in text else exercise.title  # the row of a step may be scrolled away
        found.append(Hint(name, tuple(drawn_of(figures, text)), said))
    if here.claim is not None:
        about = f"{here.claim.text.rstrip('.')}. This is tested on your own results, whatever the course found."
        found.append(Hint("Claim", tuple(drawn_of(here.claim.text, text)), about))
    if here.claim is not None and not shown.hides(exercise, here):
        about = "The author of the course's notebook found this, on the data set that is named or with GPT-2."
        said = f"{here.claim.notebook.rstrip('.')}. {about}"
        found.append(Hint("The course found", tuple(drawn_of(here.claim.notebook, text)), said))
    return found + _terms(f"{here.text} {here.claim.text if here.claim is not None else ''}")


def _terms(text: str) -> list[Hint]:
    """Definitions of the terms in a text."""
    from engine.lab.glossary import TERMS

    named = (term for term in TERMS.values() if re.search(rf"(?<!\w){re.escape(term.name)}(?!\w)", text))
    return [Hint(term.name, (), term.definition) for term in named]
