"""Texts that are one key away: a page of English, and a page in Dante's Italian."""

from __future__ import annotations

ENGLISH = """\
The old ferry leaves at ten past seven, and nobody on it talks before the second bridge. Fishermen look at the \
water, students look at their telephones, and a woman with a basket of lemons counts them twice, as if one could \
have jumped overboard. In winter the windows are white with breath, and somebody always draws a house with a chimney \
in it. Later the sun comes over the warehouses, the engine changes its voice, and the town begins: bakers, bells, \
scooters, the smell of coffee and rope. It isn't far; it only feels far, because it is the one half hour of the day \
in which nothing can be done about anything.
"""
_LENGTH = 600  # characters of a page, about


def verses(text: str) -> str:
    """Some tercets of a corpus: whole ones, from the first canto that has enough of them."""
    taken: list[str] = []
    length = 0
    for tercet in (part.strip("\n") for part in text.split("\n\n")):
        lines = [line.strip() for line in tercet.splitlines()]
        if len(lines) != 3 or not all(20 < len(line) < 60 for line in lines):
            if length > _LENGTH // 2:
                break
            continue
        taken.append("\n".join(lines))
        length += len(taken[-1]) + 2
        if length > _LENGTH:
            break
    return "\n\n".join(taken) + "\n" if taken else text[:_LENGTH]
