"""``llmlab-tui generate`` and ``sweep``: completions on stdout, narration on stderr, or events for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from engine.lm.chat import Conversation, needed
from engine.lm.find import AUTO, load, note_used
from engine.lm.sampling import GenerateSpec, Sampling
from engine.lm.sweep import PROMPT, Comparison, Setting, compare, ladder, samples
from engine.runs.events import Compared, Completed, Event, Notice, Token
from engine.runs.messages import Control, finish
from engine.runs.spec import BadSpec, Problem, check_device
from tui.command import piped
from tui.command.driven import DONE, FAILED
from tui.command.interrupt import INTERRUPTED, obey_signals
from tui.command.narrate import Narrator
from tui.command.options import Flag, Json, Texts
from tui.output import on_terminal, print_json, print_message, print_text, say
from tui.text import safe

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

CANDIDATES = 10
_Prompt = Annotated[str | None, Texts]
_System = Annotated[str | None, Flag]


def generate(
    prompt: _Prompt = None,
    *,
    model: str = AUTO,
    chat: Annotated[bool, Flag] = False,
    system: _System = None,
    greedy: Annotated[bool, Flag] = False,
    temperature: float = 1.0,
    top_k: int = 50,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    max_new_tokens: int = 100,
    seed: int = 1337,
    n: Annotated[int, Parameter(name="--n")] = 1,
    score_prompt: Annotated[bool, Flag] = False,
    device: str = "auto",
    json: Json = False,
) -> int:
    """Complete a prompt: the completion goes to stdout, token by token.

    Settings work in the order and with the defaults of transformers: repetition penalty, temperature, top-k, top-p,
    min-p.

    Parameters
    ----------
    prompt
        The text, or - for stdin; without it, stdin.
    model
        auto (the last used, else gpt2, smollm2 or bundled), gpt2, smollm2, bundled (the Dante GPT), a run (name, path
        or latest), a folder, a .gguf file, nanoGPT's ckpt.pt, or a name on the Hugging Face Hub.
    chat
        Put the prompt into the model's chat template, as a user's message; the text that it makes is shown.
    system
        With --chat, the system message. Default: that of the template, if it has one.
    greedy
        Always take the most probable token; of the other settings only the repetition penalty has an effect.
    temperature
        Divides the logits: below 1 sharper, above 1 flatter.
    top_k
        Keep this many most probable tokens; 0 keeps all.
    top_p
        Keep the most probable tokens that together reach this probability; 1 keeps all.
    min_p
        Keep tokens with at least this share of the probability of the most probable one; 0 keeps all.
    repetition_penalty
        Divides positive logits of tokens already in the text and multiplies negative ones; 1 has no effect.
    max_new_tokens
        Maximum tokens to add.
    seed
        The same seed gives the same text.
    n
        Number of samples, with seeds from --seed upwards.
    score_prompt
        With --json, print the tokens of the prompt first.
    device
        auto (the GPU with the most free memory), cpu, cuda, cuda:N or mps.
    """
    check_device(device)
    sampling = Sampling(greedy, temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens, seed)
    sampling.check()
    if n < 1:
        raise BadSpec([Problem("n", "must be at least 1")])
    _check_system(system, chat=chat)
    text = piped.given(prompt)
    control = Control()
    came = obey_signals(control)
    narrator = Narrator(as_json=json)
    lm = _loaded(model, control, device, narrator)
    if not json:
        print_message(f"{lm.name}: {lm.source}, {lm.parameters:,} parameters, {lm.precision} on {lm.device}")
    text, ids = _conversed(lm, text, system, narrator) if chat else (text, None)
    settings = samples(text, sampling, n).settings
    specs = [
        GenerateSpec(text, ids, each.sampling, CANDIDATES if json else 0, score_prompt and json, stream)
        for stream, each in enumerate(settings)
    ]
    reasons = _complete(lm, specs, [each.name for each in settings], control, narrator, json=json)
    return INTERRUPTED if came else FAILED if "failed" in reasons else DONE


def sweep(
    prompt: _Prompt = None,
    *,
    model: str = AUTO,
    chat: Annotated[bool, Flag] = False,
    system: _System = None,
    setting: Annotated[list[str] | None, Flag] = None,
    max_new_tokens: int = 100,
    seed: int = 1337,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    device: str = "auto",
    json: Json = False,
) -> int:
    """Complete one prompt under several settings and compare: text, repetition, distinct-2, log-probability, speed.

    Without settings: greedy and a range of temperatures, without top-k or top-p. All are sampled with the same random
    numbers. The result is saved as Markdown, which --from repeats.

    Parameters
    ----------
    prompt
        The text, or - for stdin. Default: "Who knows if God exists, but for sure I".
    model
        auto (the last used, else gpt2, smollm2 or bundled), gpt2, smollm2, bundled (the Dante GPT), a run (name, path
        or latest), a folder, a .gguf file, nanoGPT's ckpt.pt, or a name on the Hugging Face Hub.
    chat
        Put the prompt into the model's chat template, as a user's message; the text that it makes is shown.
    system
        With --chat, the system message. Default: that of the template, if it has one.
    setting
        A setting such as temperature=0.7,top-p=0.9 or greedy; repeat the option for several.
    max_new_tokens
        Maximum tokens to add, unless a setting overrides it.
    seed
        Seed, unless a setting overrides it.
    source
        A file that sweep saved: repeat its model, prompt and settings, and report whether the texts are the same.
    device
        auto (the GPU with the most free memory), cpu, cuda, cuda:N or mps.
    """
    check_device(device)
    from engine.lm import sweep_record as record

    base = Sampling(max_new_tokens=max_new_tokens, seed=seed)
    base.check()
    _check_system(system, chat=chat)
    saved = record.read(source) if source else None
    if saved is not None:
        if prompt is not None or setting or chat:
            raise BadSpec([Problem("", "--from has its own prompt and settings")])
        comparison, model = saved.comparison, saved.model
    else:
        text = PROMPT if prompt is None else piped.given(prompt)
        comparison = Comparison(text, tuple(_setting(one, base) for one in setting)) if setting else ladder(text, base)
    comparison.check()
    control = Control()
    came = obey_signals(control)
    narrator = Narrator(as_json=json)
    lm = _loaded(model, control, device, narrator)
    if chat:
        text, ids = _conversed(lm, comparison.prompt, system, narrator)
        comparison = replace(comparison, prompt=text, ids=ids)
    if saved is not None and saved.fingerprint not in ("", lm.fingerprint()):
        narrator.tell(Notice(f"{lm.name} has other weights than when the file was written", "warning", "fingerprint"))
    task = compare(lm, comparison, control, candidates=CANDIDATES if json else 0)
    results = finish(task, narrator.tell if json else lambda event: _compared(event, narrator))
    path = record.save(lm, comparison, results)
    same = None
    if saved is not None and len(saved.texts) == len(results):
        same = [result.text for result in results] == list(saved.texts)
        if not json:
            print_message("the texts equal those in the file" if same else "the texts differ from those in the file")
    reason = next((result.reason for result in results if result.reason in ("stop", "failed")), "done")
    if json:
        last = {"event": "finished", "reason": reason, "compared": len(results), "path": str(path)}
        print_json(last | ({} if same is None else {"same": same}))
    else:
        _table(results)
        print_message(f"saved: {path}")
    return INTERRUPTED if came else FAILED if reason == "failed" or same is False else DONE


def _loaded(model: str, control: Control, device: str, narrator: Narrator) -> LanguageModel:
    """The model, which is the last used one if it was named."""
    lm = finish(load(model, control, device=device), narrator.tell)
    if model != AUTO:
        note_used(model)
    return lm


def _check_system(system: str | None, *, chat: bool) -> None:
    if system is not None and not chat:
        raise BadSpec([Problem("system", "is a part of --chat")])


def _conversed(lm: LanguageModel, text: str, system: str | None, narrator: Narrator) -> tuple[str, tuple[int, ...]]:
    """What the model's chat template makes of a prompt, as text and ids; the text is told."""
    made = needed(lm.chat, lm.name).apply(Conversation(text, system or ""))
    narrator.tell(Notice(made, "info", "chat"))
    return made, tuple(lm.tokenizer.encode(made).ids)


def _compared(event: Event, narrator: Narrator) -> None:
    """Tell a comparison to people: texts on stdout as they are done, the rest on stderr."""
    if isinstance(event, Compared):
        print_text(f"── {safe(event.name, lines=False)} ──\n{event.text}\n\n")
    elif not isinstance(event, Token):
        narrator.tell(event)


def _complete(
    lm: LanguageModel, specs: list[GenerateSpec], names: list[str], control: Control, narrator: Narrator, *, json: bool
) -> set[str]:
    """Completions, told one after the other as they come; the reasons they ended for."""
    from engine.lm.generate import generate_together

    reasons: set[str] = set()
    events = generate_together(lm, specs, control)
    begun = told = 0
    for event in events if json else _sorted(events):
        if isinstance(event, Completed):
            reasons.add(event.reason)
        if json or not isinstance(event, Token | Completed):
            narrator.tell(event)
            continue
        if event.stream == begun:
            begun, told = begun + 1, 0
            if len(names) > 1:
                print_message(names[event.stream])
        if isinstance(event, Token):
            told += len(event.text)
            print_text(event.text)
        else:
            print_text(event.text[told:])  # what an incomplete character left
            print_text("\n" if on_terminal() or len(names) > 1 else "")
            print_message(
                f"{event.tokens} tokens ({event.reason}), {event.tokens_per_second:.1f} tokens/s, first after "
                f"{event.first_token_seconds:.2f} s"
            )
    return reasons


def _sorted(events: Iterator[Event]) -> Iterator[Event]:
    """What comes of several completions in turn, in their order: the first unfinished one's at once."""
    waiting: dict[int, list[Event]] = {}
    current = 0
    for event in events:
        if not isinstance(event, Token | Completed):
            yield event
            continue
        waiting.setdefault(event.stream, []).append(event)
        while found := waiting.pop(current, None):
            yield from found
            if not isinstance(found[-1], Completed):
                break
            current += 1


def _setting(text: str, base: Sampling) -> Setting:
    """A setting as it is spelled on the command line: ``greedy`` or ``name=value`` pairs, joined by commas."""
    changes: dict[str, Any] = {}
    kinds = {entry.name: type(getattr(base, entry.name)) for entry in fields(Sampling)}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, value = part.partition("=")
        name = name.strip().replace("-", "_")
        if name not in kinds:
            known = ", ".join(sorted(kind.replace("_", "-") for kind in kinds))
            raise BadSpec([Problem("setting", f"{name!r} is not a setting; there are {known}")])
        try:
            changes[name] = (
                value.strip().lower() in ("", "true", "yes", "1") if name == "greedy" else kinds[name](value)
            )
        except ValueError:
            raise BadSpec([Problem(f"setting {name}", f"cannot be {value!r}" if given else "needs a value")]) from None
    return Setting(text, replace(base, **changes))


def _table(results: list[Compared]) -> None:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    wide = max(7, *(len(result.name) for result in results))
    say(f"{'setting':<{wide}}  tokens  repetition  distinct-2  log-prob  tokens/s  ended")
    for one in results:
        say(
            f"{safe(one.name, lines=False):<{wide}}  {one.tokens:>6}  {one.repetition_rate:>10.3f}  "
            f"{number(one.distinct_2):>10}  {number(one.mean_logprob):>8}  {one.tokens_per_second:>8.1f}  {one.reason}"
        )
