"""Pages of Markdown as a parser of another project reads them."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


def parsed(page: Path) -> list[Token]:
    """Every token of a page, those in lines too."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page.read_text())
    return [inner for token in tokens for inner in (token, *(token.children or ()))]


def cells(tokens: list[Token]) -> list[list[str]]:
    """The rows of all tables, without markup."""
    rows: list[list[str]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append("".join(one.content for one in tokens[place + 1].children or ()))
    return rows
