"""Atomic checkpoints: folders that are either whole or not there. Knows files, not tensors.

A checkpoint is written into a temporary folder beside its target, every file is fsynced, the folder is renamed and
its parent fsynced. ``state.json`` is written last and lists size and SHA-256 of its siblings, so a folder is whole
exactly when it parses and they match. Temporary folders lie on the same file system as their target by construction.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeAlias

State: TypeAlias = dict[str, Any]

STATE = "state.json"
PINNED = "pinned"  # a file of this name keeps a checkpoint from being pruned
SCHEMA = 1  # of the records that this version writes
_SCHEMA = "schema"  # a record says its number once; those of earlier versions say none
CHECKSUM = "checksum"  # of the other entries of a JSON object
BLOCK = 1 << 22  # bytes written at a time
_NAME = re.compile(r"step-(\d{6,})")
_TEMPORARY = re.compile(r"tmp-\d+-(old-|gone-)?(step-\d{6,})")


class CheckpointError(Exception):
    """A checkpoint is missing, incomplete or damaged; the message says which and how."""


def name_of(step: int) -> str:
    """Folder name of the checkpoint at ``step``."""
    return f"step-{step:06d}"


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint folder's name tells."""
    found = _NAME.fullmatch(checkpoint.name)
    if not found:
        raise CheckpointError(f"{checkpoint} is not a checkpoint folder")
    return int(found[1])


def commit(folder: Path, step: int, files: Mapping[str, bytes], state: State) -> Path:
    """Write ``files`` and ``state`` as the checkpoint of ``step`` under ``folder`` and return its path.

    An older checkpoint of the same step is replaced; see :func:`replaced` for errors. A missing parent of ``folder`` is
    one: a run that was removed is not made again.
    """
    folder.mkdir(exist_ok=True)
    target = folder / name_of(step)
    with replaced(target, folder / f"tmp-{os.getpid()}-old-{target.name}") as temporary:
        listing = {name: _write(temporary / name, content) for name, content in files.items()}
        _write(temporary / STATE, encode(with_checksum({**state, "step": step, "files": listing})))
        if (target / PINNED).exists():
            (temporary / PINNED).touch()
    return target


@contextlib.contextmanager
def replaced(target: Path, aside: Path) -> Iterator[Path]:
    """A folder for synced files, which takes the place of ``target`` at the end; what was there is ``aside`` meanwhile.

    On any error what was there before is untouched, the new folder is removed, and the error is raised.
    """
    temporary = target.with_name(f"tmp-{os.getpid()}-{target.name}")
    remove(temporary)
    remove(aside)
    put_aside = False
    try:
        temporary.mkdir()
        yield temporary
        sync(temporary)
        if target.exists():
            os.rename(target, aside)
            put_aside = True
        os.rename(temporary, target)
        sync(target.parent)
    except BaseException:
        if put_aside:
            with contextlib.suppress(OSError):  # where even this fails, the next start puts it back
                if not temporary.exists():
                    os.rename(target, temporary)
                os.rename(aside, target)
        remove(temporary)
        raise
    remove(aside)


def replace_file(target: Path, content: bytes) -> None:
    """Write one small file atomically: readers see the old content or the new, also after a crash.

    What processes that were killed while they wrote it left behind is removed.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    for left in target.parent.glob(f"{glob.escape(target.name)}.*.tmp"):
        if not alive(left.suffixes[-2][1:]):
            with contextlib.suppress(OSError):
                left.unlink()
    try:
        _write(temporary, content)
        os.rename(temporary, target)
        sync(target.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def open_file(path: Path) -> BufferedReader:
    """A regular file, open for reading. Raises :class:`OSError`, also for a FIFO, whose end may never come."""
    return open(path, "rb", opener=_open_regular)


def read_file(path: Path) -> bytes:
    """Content of a regular file. Raises :class:`OSError` like :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under ``folder``; nothing where there is no such folder. Raises :class:`OSError`."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open_file(path) as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def decode(content: bytes) -> Any:
    """The value of a JSON text. Raises :class:`ValueError`, also where it is nested too deeply to be read."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as the content of a JSON file, with its schema. A path that is not UTF-8 comes back as it was."""
    content = {_SCHEMA: SCHEMA, **record}
    return json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, without its schema and checksum.

    Raises :class:`OSError`, and :class:`ValueError` when it is damaged or of another schema.
    """
    content = decode(read_file(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    if (schema := content.pop(_SCHEMA, SCHEMA)) != SCHEMA:
        raise ValueError(f"its schema is {schema!r}, this version reads {SCHEMA}")
    if (written := content.pop(CHECKSUM, None)) is not None and written != _checksum(content):
        raise ValueError(f"{path.name} is damaged: its checksum does not match")
    return content


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """An object for a JSON file in which :func:`read_object` notices any damage."""
    return {**content, CHECKSUM: _checksum(content)}


def sync(path: Path) -> None:
    """Put a file, or a folder's list of names, on the disk. Raises :class:`OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders under ``folder``, newest step first, whole or not."""
    try:
        found = [entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=step_of, reverse=True)


def read_state(checkpoint: Path) -> State:
    """``state.json`` of a checkpoint whose files have the sizes that it lists. Raises :class:`CheckpointError`."""
    try:
        state = read_object(checkpoint / STATE)
        for name, facts in state["files"].items():
            size = (checkpoint / name).stat().st_size
            if size != facts["bytes"]:
                raise CheckpointError(f"{checkpoint.name}/{name} has {size:,} bytes instead of {facts['bytes']:,}")
    except FileNotFoundError as error:
        raise CheckpointError(f"{checkpoint.name}/{Path(error.filename).name} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{checkpoint.name}/{STATE} cannot be read ({error})") from None
    return state


def read(checkpoint: Path) -> tuple[State, dict[str, bytes]]:
    """State and file contents of a checkpoint, sizes and hashes verified. Raises :class:`CheckpointError`."""
    state = read_state(checkpoint)
    contents: dict[str, bytes] = {}
    for name, facts in state["files"].items():
        try:
            contents[name] = read_file(checkpoint / name)
        except OSError as error:
            raise CheckpointError(f"{checkpoint.name}/{name}: {error.strerror or error}") from None
        if hashlib.sha256(contents[name]).hexdigest() != facts["sha256"]:
            raise CheckpointError(f"{checkpoint.name}/{name} is damaged: its SHA-256 does not match")
    return state, contents


def prune(folder: Path, *, newest: int | None = None, keep_last: int = 2, keep: frozenset[int] = frozenset()) -> None:
    """Remove checkpoints but the newest ``keep_last`` whole ones, the steps in ``keep`` and those the user pinned.

    A file ``pinned`` inside a checkpoint pins it. Steps after ``newest`` are neither counted nor removed: they are
    what a resume passed over. Never removes the only whole one.
    """
    whole = 0
    for checkpoint in checkpoints(folder):
        if newest is not None and step_of(checkpoint) > newest:
            continue
        try:
            read_state(checkpoint)
            whole += 1
            spare = whole > keep_last
        except CheckpointError:
            spare = whole >= keep_last
        if spare and step_of(checkpoint) not in keep and not (checkpoint / PINNED).exists():
            # Not "old": a sweep puts those back, and this one may be half removed by then.
            doomed = checkpoint.with_name(f"tmp-{os.getpid()}-gone-{checkpoint.name}")
            try:
                os.rename(checkpoint, doomed)
            except OSError:
                continue
            remove(doomed)


def sweep(folder: Path) -> None:
    """Remove temporary folders that a killed process left behind; put back a checkpoint it was replacing.

    Other names that begin with ``tmp-`` are left alone. Only the owner of the run may call this.
    """
    for left in folder.glob("tmp-*"):
        if found := _TEMPORARY.fullmatch(left.name):
            target = folder / found[2]
            if found[1] == "old-" and not target.exists():
                os.rename(left, target)
            else:
                remove(left)


def remove(path: Path) -> None:
    """Remove a folder with everything in it, or a file that lies in its place. What cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def alive(pid: str) -> bool:
    """Whether a process has this id; True for what is no id."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, OverflowError):
        return True
    return True


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def _write(path: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256()
    view = memoryview(content)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for start in range(0, len(view), BLOCK):
            block = view[start : start + BLOCK]
            digest.update(block)
            while block:
                block = block[os.write(descriptor, block) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": len(view), "sha256": digest.hexdigest()}
