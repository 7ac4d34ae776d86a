"""Chat templates: a system message and a user's message as the text that an instruct model was trained to answer."""

from __future__ import annotations

import contextlib
import ctypes
import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine import hub
from engine.runs.spec import BadSpec, Problem
from engine.tokenization.encoding import NoTokenizer, guarded

LONGEST = 1 << 22  # characters of a text that a template makes
SECONDS = 10.0  # that a template may take, which is a program of the model's author; then its thread is ended
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class Conversation:
    """What a chat template is applied to."""

    user: str
    system: str = ""
    """empty: no system message, so a template may put in its own"""


class ChatTemplate:
    """The chat template of one tokenizer, which ``transformers`` loads when it is first applied."""

    def __init__(self, where: str) -> None:
        """``where``: the folder or the repository of the tokenizer."""
        self._where = where

    def apply(self, conversation: Conversation) -> str:
        """The text of ``conversation`` up to where the answer begins, by ``transformers``' sandboxed Jinja.

        Any thread. Raises :class:`BadSpec` for a template that raises an error (some have no system message), makes
        more than ``LONGEST`` characters or takes longer than ``SECONDS``.
        """
        messages = [{"role": "system", "content": conversation.system}] if conversation.system else []
        messages.append({"role": "user", "content": conversation.user})
        try:
            with guarded("the tokenizer cannot be loaded"):
                tokenizer = self._tokenizer
            return _rendered(tokenizer, messages)
        except NoTokenizer as error:
            raise BadSpec([Problem("chat", str(error))]) from None

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        name, revision = (self._where, None) if Path(self._where).is_dir() else hub.at_revision(self._where)
        return AutoTokenizer.from_pretrained(
            name, revision=revision or "main", local_files_only=True, trust_remote_code=False
        )


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    """The text of ``messages`` by the template of ``tokenizer``. Raises :class:`NoTokenizer`."""
    text = Future[str]()

    def work() -> None:
        with contextlib.suppress(SystemExit):
            try:
                with guarded("the chat template cannot be applied"):
                    text.set_result(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            except NoTokenizer as error:
                text.set_exception(error)

    thread = threading.Thread(target=work, name="chat-template", daemon=True)
    thread.start()
    try:
        found = text.result(SECONDS)
    except TimeoutError:
        if thread.is_alive():  # the next instruction of Python there raises SystemExit
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
        raise NoTokenizer(f"the chat template was not done after {SECONDS:g} s") from None
    if len(found) > LONGEST:
        raise NoTokenizer(f"the chat template made {len(found):,} characters; up to {LONGEST:,} are used")
    return found


def find(where: str) -> ChatTemplate | None:
    """The chat template that lies in the folder or the Hub's cache beside a tokenizer; None where there is none."""
    folder = Path(where)

    def file(name: str) -> Path | None:
        return folder / name if folder.is_dir() else hub.cached(where, name)

    there = any((found := file(name)) is not None and found.is_file() for name in _TEMPLATE_FILES)
    if not there and (config := file("tokenizer_config.json")) is not None:
        try:
            there = bool(json.loads(config.read_bytes()).get("chat_template"))
        except (OSError, ValueError, AttributeError):
            there = False
    return ChatTemplate(where) if there else None


def needed(template: ChatTemplate | None, model: str) -> ChatTemplate:
    """The chat template of a model. Raises :class:`BadSpec` for a model without one."""
    if template is None:
        raise BadSpec([Problem("chat", f"{model} has no chat template; instruct models have one, such as smollm2")])
    return template
