"""A page of Markdown as one HTML file that needs no other: its style and its pictures are in it, and no raw HTML is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from markdown_it import MarkdownIt

_STYLE = """
:root { color-scheme: light dark; --text: #272c38; --muted: #566072; --border: #d4d9e3;
  --page: #ffffff; --code: #f1f3f7 }
@media (prefers-color-scheme: dark) {
  :root { --text: #ccd3e4; --muted: #929bb4; --border: #333b4e; --page: #0f1118; --code: #1a1e29 } }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 54rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; overflow-wrap: break-word }
h1, h2, h3, h4 { line-height: 1.25; margin: 2em 0 .6em } h1 { margin-top: 0 }
h2 { border-bottom: 1px solid var(--border); padding-bottom: .25em }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: 1em 0; font-size: .88em }
th, td { border-bottom: 1px solid var(--border); padding: .35em .8em .35em 0; text-align: left; vertical-align: top }
td { font-variant-numeric: tabular-nums } th { color: var(--muted); font-weight: 600 }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; background: var(--code); border-radius: 4px }
code { padding: .1em .3em } td code { white-space: pre-wrap; overflow-wrap: anywhere } pre code { padding: 0 }
pre { padding: .8em 1em; white-space: pre-wrap; overflow-wrap: anywhere }
blockquote { margin: 1em 0; padding: .1em 1em; border-left: 4px solid var(--border) }
img { max-width: 100%; height: auto; margin: .5em 0 }
"""


def render(markdown: str, title: str, pictures: Mapping[str, str]) -> str:
    """A document of this page; ``pictures`` are the SVG files that it shows, by name, which become part of it."""
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")
    tokens = parser.parse(markdown)
    for image in (inner for token in tokens for inner in token.children or () if inner.type == "image"):
        if (picture := pictures.get(str(image.attrs["src"]))) is not None:
            content = base64.b64encode(picture.encode("utf-8", "replace")).decode()
            image.attrs["src"] = f"data:image/svg+xml;base64,{content}"
    body = parser.renderer.render(tokens, parser.options, {})
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}<style>{_STYLE}</style></head>\n'
        f"<body><main>\n{body}</main></body>\n</html>\n"
    )
