"""Data sets of the Hub: from the cache without any request, else downloaded; and a look at their first rows.

What the Hub lists of a repository is kept beside the program's other caches, so that a data set of which every file was
downloaded opens without a network.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Any

from checkpoints import home, store
from data import hub as layout
from data.formats import TableError, some, split_called
from data.hub import Fetched, Splits
from data.sources import existing
from engine import hub
from engine.errors import first_line
from engine.hub import NoSuchFile, NotOnHub
from engine.runs.events import Event, Progress
from engine.runs.messages import finish, passed

README = "README.md"
PARTS = ("corpus", "queries", "qrels")
HEAD = 1 << 18  # bytes of a text that a look reads, and keeps of what they decompress to
SHOWN = 100  # rows of a Parquet file that a look takes
BLOCK = 1 << 16  # bytes of a file that a request asks for at least

Obey = Callable[[], Iterator[Event]]


@dataclass(frozen=True)
class Listing:
    """What the Hub says of a repository of data."""

    repository: str
    commit: str
    files: Mapping[str, int]
    """path to size in bytes"""
    readme: str
    """to the end of its head"""
    converted: bool
    """whether these are the Parquet files that the Hub made"""

    @cached_property
    def head(self) -> dict[str, Any]:
        """What the README declares."""
        return layout.head_of(self.readme)

    @cached_property
    def configurations(self) -> dict[str, Splits]:
        """The files of each."""
        files = list(self.files)
        return layout.converted(files) if self.converted else layout.configurations(files, self.head)

    def chosen(self, configuration: str) -> tuple[str, Splits]:
        """A configuration by its name, or the default one, and its files. Raises :class:`TableError`."""
        found = self.configurations
        name = configuration or layout.default_of(found, self.head)
        if name in found:
            return name, found[name]
        if not found:
            script = f"{self.repository.rpartition('/')[2]}.py" in self.files
            why = "a script makes it, and none is run" if script else f"it holds {some(list(self.files))}"
            raise TableError(f"{self.repository} on the Hub holds no table that can be read: {why}")
        have = f"its configurations are {some(list(found))}: name one as {self.repository}:{next(iter(found))}"
        problem = f"has no configuration {configuration}" if configuration else "has several configurations"
        raise TableError(f"{self.repository} on the Hub {problem}; {have}")


def fetch(name: str, bundled: str, obey: Obey) -> Generator[Event, None, Fetched | None]:
    """The files of a data set on the Hub; None where ``name`` is that of a file or of the ``bundled`` data.

    ``obey`` is called while the Hub is waited for; what it raises ends the task. Raises :class:`TableError`.
    """
    return (yield from _fetch(name, bundled, obey)) if _on_hub(name, bundled) else None


def _on_hub(name: str, bundled: str) -> bool:
    return name != bundled and existing(name) is None and layout.possible(name)


def _fetch(name: str, bundled: str, obey: Obey) -> Generator[Event, None, Fetched]:
    if (found := cached(name)) is not None:
        return found
    repository, revision, configuration = layout.parts(name)
    try:
        listing = yield from hub.run(f"asking the Hub for {name}", partial(_listed, repository, revision), obey)
        chosen, splits = listing.chosen(configuration)
        yield from _download(listing, splits, name, obey)
        return _fetched(listing, chosen, splits, "the Hub")
    except NotOnHub as error:
        raise _cannot_be_had(name, bundled, error) from None


def fetch_collection(name: str, bundled: str, obey: Obey) -> Generator[Event, None, dict[str, Fetched] | None]:
    """Corpus, queries and qrels of a collection on the Hub in the BEIR layout, see :func:`fetch`."""
    if not _on_hub(name, bundled):
        return None
    found: dict[str, Fetched] = {}
    for what in PARTS:
        found[what] = yield from _fetch(_part(name, what), bundled, obey)
    return found


def cached(name: str) -> Fetched | None:
    """The files of a data set, where all of them are on this machine. Makes no request."""
    repository, revision, configuration = layout.parts(name)
    if (listing := _saved(repository, revision)) is not None:
        with contextlib.suppress(TableError, NoSuchFile):
            return _fetched(listing, *listing.chosen(configuration), "Hugging Face cache")
    return None if revision else layout.saved_by_datasets(repository, configuration)


def _part(name: str, what: str) -> str:
    """What the Hub calls a part of a collection: a configuration, or for the qrels mostly a repository of their own.

    The repository has been listed, or is in a cache, when its qrels are asked for.
    """
    repository, revision, _ = layout.parts(name)
    base = f"{repository}@{revision}" if revision else repository
    if what != "qrels":
        return f"{base}:{what}"
    listing = _saved(repository, revision)
    own = listing.configurations if listing is not None else {}
    inside = next((one for one in (what, layout.DEFAULT) if one in own), "")
    return f"{base}:{inside}" if inside else f"{repository}-qrels"


def _cannot_be_had(name: str, bundled: str, error: NotOnHub) -> TableError:
    return TableError(
        f"the data set {name!r} cannot be had: no file or folder has that name, it is not cached, and {error}. "
        f"{bundled} is bundled, and files and folders can be given by path"
    )


def _fetched(listing: Listing, configuration: str, splits: Splits, source: str) -> Fetched:
    """Raises :class:`NoSuchFile` where a file is not in the cache."""
    found: dict[str, list[Path]] = {}
    for split, files in splits.items():
        found[split] = [place for file in files if (place := _in_cache(listing, file)) is not None]
        if len(found[split]) < len(files):
            raise NoSuchFile("it is not cached")
    return Fetched(found, source, layout.label_names(listing.head, configuration))


def _in_cache(listing: Listing, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(listing.repository, file, revision=listing.commit, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def _download(listing: Listing, splits: Splits, name: str, obey: Obey) -> Iterator[Event]:
    """Download those files that the cache lacks, as one progress."""
    files = [file for own in splits.values() for file in own if _in_cache(listing, file) is None]
    total = sum(listing.files[file] for file in files)

    def work() -> None:
        for file in files:
            hub.from_hub(listing.repository, listing.commit, file, "dataset")

    def of_all(event: Event) -> tuple[Event]:
        return (replace(event, total=total or event.total) if isinstance(event, Progress) else event,)

    yield from passed(hub.run(f"downloading {name}", work, obey), of_all)


# -- listings --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _requests() -> Iterator[None]:
    """Raise what the Hub's library raises as :class:`NotOnHub`."""
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (NotOnHub, TableError):
        raise
    except HFValidationError:
        raise NotOnHub("this cannot be the name of a repository on the Hub") from None
    except Exception as error:  # of whatever the libraries below it are made
        raise NotOnHub(f"the request failed ({first_line(error)})") from None


@_requests()
def _listed(repository: str, revision: str) -> Listing:
    """What the Hub says of a repository, also saved. Raises :class:`NotOnHub`; for :func:`engine.hub.run`."""
    from huggingface_hub.errors import RevisionNotFoundError

    if reason := hub.unreachable():
        raise hub.Offline(reason)
    commit, files = _files(repository, revision)
    readme = ""
    if README in files:
        readme = layout.head_text(hub.from_hub(repository, commit, README, "dataset").read_text("utf-8", "replace"))
    found = Listing(repository, commit, files, readme, converted=False)
    script = f"{repository.rpartition('/')[2]}.py" in files and "configs" not in found.head
    if not revision and (script or not found.configurations):
        with contextlib.suppress(RevisionNotFoundError):
            found = Listing(repository, *_files(repository, layout.CONVERTED), readme, converted=True)
    about = {name: getattr(found, name) for name in ("commit", "files", "readme", "converted")}
    with contextlib.suppress(OSError):  # it is asked for again
        place = _place(repository, revision)
        place.parent.mkdir(parents=True, exist_ok=True)
        store.replace_file(place, json.dumps(about).encode())
    return found


def _files(repository: str, revision: str) -> tuple[str, dict[str, int]]:
    """The commit of a revision, and its files with their sizes in bytes."""
    from huggingface_hub import HfApi

    about = HfApi().dataset_info(repository, revision=revision or None, files_metadata=True)
    return about.sha or "", {file.rfilename: file.size or 0 for file in about.siblings or ()}


def _saved(repository: str, revision: str) -> Listing | None:
    """What the Hub said of a repository when it was last asked."""
    try:
        about = json.loads(_place(repository, revision).read_bytes())
        files = {str(file): int(size) for file, size in about["files"].items()}
        return Listing(repository, str(about["commit"]), files, str(about["readme"]), bool(about["converted"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _place(repository: str, revision: str) -> Path:
    name = f"{repository}@{revision}" if revision else repository
    return home.cache() / "listings" / f"{name.replace('/', '___')}.json"


# -- first rows ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def first_rows(name: str, bundled: str, obey: Obey, *, ask: bool) -> Iterator[Fetched | None]:
    """The cached files of a data set on the Hub, else with ``ask`` the beginning of its first split, else None.

    For that a few small parts of one file are requested, and kept in a folder that is removed afterwards. ``obey`` is
    as for :func:`fetch`. Raises :class:`TableError`.
    """
    if (found := cached(name)) is not None or not ask:
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="llmlab-look-", ignore_cleanup_errors=True) as folder:
        work = partial(_first_rows, name, Path(folder))
        try:
            found = finish(hub.run(f"asking the Hub for {name}", work, obey))
        except NotOnHub as error:
            raise _cannot_be_had(name, bundled, error) from None
        yield found


@contextlib.contextmanager
def first_of_collection(name: str, bundled: str, obey: Obey, *, ask: bool) -> Iterator[dict[str, Fetched] | None]:
    """Corpus, queries and qrels of a collection on the Hub, see :func:`first_rows`."""
    found: dict[str, Fetched] = {}
    with contextlib.ExitStack() as stack:
        for what in PARTS:
            part = stack.enter_context(first_rows(_part(name, what), bundled, obey, ask=ask))
            if part is not None:
                found[what] = part
        yield found if len(found) == len(PARTS) else None


@_requests()
def _first_rows(name: str, folder: Path) -> Fetched:
    from huggingface_hub import HfFileSystem

    repository, revision, configuration = layout.parts(name)
    listing = _listed(repository, revision)
    chosen, splits = listing.chosen(configuration)
    split = next((split for split in splits if split_called(split) == "train"), next(iter(splits)))
    place = f"datasets/{repository}@{listing.commit}/{splits[split][0]}"
    with HfFileSystem().open(place, block_size=BLOCK) as remote:
        part = _beginning(remote, folder / PurePath(place).name)
    size = sum(listing.files[file] for files in splits.values() for file in files)
    return Fetched({split: [part]}, "the Hub", layout.label_names(listing.head, chosen), size)


def _beginning(remote: Any, target: Path) -> Path:
    """A file with the first rows of an open one, of the same format. Raises :class:`TableError`."""
    if target.suffix == ".parquet":
        return _first_batch(remote, target)
    if target.suffix in (".zst", ".arrow"):
        raise TableError(f"{target.name} can be read only as a whole: it is downloaded when the methods run")
    content = remote.read(HEAD)
    if target.suffix == ".gz":
        target, content = target.with_suffix(""), zlib.decompressobj(31).decompress(content, HEAD)
    if len(content) >= HEAD:
        content = content[: content.rfind(b"\n") + 1] or content
    target.write_bytes(content)
    return target


def _first_batch(remote: Any, target: Path) -> Path:
    """The first rows of a Parquet file; no more of its columns is read than they need."""
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(remote, buffer_size=BLOCK, pre_buffer=False)
        if not file.num_row_groups:
            raise TableError(f"{target.name} holds no rows")
        batch = next(file.iter_batches(SHOWN, row_groups=[0], use_threads=False))
        pyarrow.parquet.write_table(pyarrow.Table.from_batches([batch], file.schema_arrow), target)
    except pyarrow.ArrowException as error:
        raise TableError(f"{target.name} is no readable Parquet ({str(error).splitlines()[0]})") from None
    return target
