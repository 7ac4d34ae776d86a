"""``llmlab-tui predict``: texts classified by every trained method of a run, without the screen."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from tui import piped
from tui.driven import BAD_INPUT, DONE, complain
from tui.output import print_json, say
from tui.spec_options import Json
from tui.text import safe


def predict(
    run: str,
    text: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    /,
    *,
    json: Json = False,
) -> int:
    """Classify texts with every trained method of a run.

    Parameters
    ----------
    run
        Name, path or latest.
    text
        One or more texts; without any, or with -, each line of stdin.
    """
    from engine.classify.predict import Classifier
    from engine.encoders.find import NoEncoder

    classifier = Classifier(runs.find(home.runs(), run))
    for route, why in classifier.unreadable.items():
        complain(f"{route}: unreadable: {why}", BAD_INPUT)
    texts = text if text and text != ["-"] else piped.lines()
    try:
        found = classifier.predict(texts)
    except NoEncoder as error:
        return complain(str(error), BAD_INPUT)
    classes = classifier.classes
    for number, each in enumerate(texts):
        if not json and len(texts) > 1:
            say(safe(each, lines=False))
        for route in classifier.methods:
            shares = found[route][number]
            best = int(shares.argmax())
            if json:
                told = {name: round(float(share), 6) for name, share in zip(classes, shares, strict=True)}
                record = {"event": "predicted", "text": each, "route": route, "class": classes[best]}
                print_json({**record, "probabilities": told})
                continue
            order = shares.argsort()[::-1][:4]
            rest = "  ".join(f"{safe(classes[place], lines=False)} {shares[place]:.3f}" for place in order)
            say(f"  {route:<9} {rest}")
    if json:
        print_json({"event": "finished", "reason": "done", "texts": len(texts), "routes": classifier.methods})
    return DONE
