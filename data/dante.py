"""Dante's Inferno, wherever it can be had, and what stands in for it when it cannot."""

from __future__ import annotations

import dataclasses
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from importlib import resources
from pathlib import Path

from data import encodings
from data.corpus import Corpus, CorpusError, Reading, from_file, from_text
from data.encodings import TextError
from data.plaintext import clean, count_cantos, normalise_line_ends

SOURCES = (
    "https://www.gutenberg.org/cache/epub/997/pg997.txt",
    "https://archive.org/download/ladivinacommedia00997gut/1ddcd09.txt",
)
TIMEOUT = 4.0  # seconds for each of connecting and reading; a user is waiting
CANTOS = 34
DANTESQUE_NOTICE = (
    "Dante's Inferno is neither cached nor reachable: training on 'dantesque', verse sampled from the bundled "
    "Dante model. For the real text give the path of a text file as the corpus."
)


def load(source: str, *, cache: Path, urls: Sequence[str] = SOURCES, encoding: str = "") -> Reading:
    """The corpus that ``source`` names: a path, whose ``encoding`` may be given, ``dante`` or ``dantesque``.

    ``dante`` is the Inferno from ``cache``, else fetched from ``urls`` once, else ``dantesque`` with a notice in
    ``Corpus.notices``. Raises :class:`data.corpus.CorpusError`.
    """
    if source == "dantesque":
        return dantesque()
    if source != "dante":
        if not source.strip():
            raise CorpusError("no corpus named: give the path of a text file or folder, 'dante' or 'dantesque'")
        return (yield from from_file(Path(os.path.expanduser(source)), cache=cache, encoding=encoding))
    cached = cache / "inferno.txt"
    if not cached.exists():
        failures = yield from fetch(cached, urls)
        if failures:
            notice = f"{DANTESQUE_NOTICE} ({'; '.join(failures)})"
            return dataclasses.replace(dantesque(), notices=(notice,))
    return (yield from from_file(cached, cache=cache, name="inferno"))


def dantesque() -> Corpus:
    """The bundled verse: sampled from the project's own Dante model, no word of it Dante's."""
    text = resources.files("data").joinpath("bundled", "dantesque.txt").read_text("utf-8")
    return from_text(text, name="dantesque", source="bundled (sampled from the bundled Dante model)")


def fetch(target: Path, urls: Sequence[str]) -> Generator[tuple[str, int, int], None, list[str]]:
    """Fetch the Inferno into ``target``, trying ``urls`` in turn; an interrupted download is taken up again.

    Returns what went wrong, a line per source; empty when ``target`` is there. A page that answers but is not the
    Inferno (a portal's log-in page) counts as a failure and is not kept.
    """
    failures: list[str] = []
    for number, url in enumerate(urls):
        host = url.split("/")[2]
        partial = target.with_suffix(f".{number}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for done, total in _download(url, partial):
                yield f"fetching the Inferno from {host}", done, total
            text = checked(partial.read_bytes())
            _replace(target, text.encode("utf-8"))
            partial.unlink()
            return []
        except TextError as error:
            failures.append(f"{host}: {error}")
            partial.unlink(missing_ok=True)
        except urllib.error.URLError as error:
            failures.append(f"{host}: {getattr(error, 'reason', error)}")
        except http.client.HTTPException as error:
            failures.append(f"{host}: {type(error).__name__}")
        except OSError as error:
            failures.append(f"{host}: {error.strerror or error}")
    return failures


def checked(raw: bytes) -> str:
    """The Inferno out of a downloaded file, header and footer cut. Raises :class:`TextError` for anything else."""
    text, _ = clean(normalise_line_ends(encodings.decode(raw).text))
    if count_cantos(text) < CANTOS or "mezzo del cammin di nostra vita" not in text or not 1.5e5 < len(text) < 7e5:
        raise TextError("what it sent is not the Inferno")
    return text


def _download(url: str, partial: Path) -> Iterator[tuple[int, int]]:
    yield 0, 0
    held = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "llmlab-tui"})
    if held:
        request.add_header("Range", f"bytes={held}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and held:  # nothing is missing: the last attempt ended right after the last byte
            return
        raise
    # Every byte is written at its own place and at once: another download of the same file does no harm.
    with answer, partial.open("r+b" if answer.status == 206 else "wb", buffering=0) as file:
        done = file.seek(held if answer.status == 206 else 0)
        total = done + int(answer.headers.get("Content-Length") or 0)
        while block := answer.read1(1 << 16):
            file.write(block)
            done += len(block)
            yield done, total
        if total > done:
            raise OSError("the connection broke off")


def _replace(target: Path, content: bytes) -> None:
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
