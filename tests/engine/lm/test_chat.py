"""Chat templates against ``transformers``: the same text, the same ids, the same answers, and templates that attack."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import tinygguf
import tinylm
from test_gguf import fields_of, model_of

from engine.lm import chat, gguf_file
from engine.lm import find as lm
from engine.lm.chat import ChatTemplate, Conversation
from engine.lm.generate import generate
from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Completed, Token
from engine.runs.messages import Control, finish
from engine.runs.spec import BadSpec

TALKS = (Conversation("Nel mezzo"), Conversation("  Chi sei?\n", "Rispondi in versi."), Conversation(""))


@pytest.mark.parametrize("apart", [False, True])
def test_text_ids_and_greedy_answers_are_those_of_transformers(tmp_path: Path, apart: bool) -> None:
    import torch
    from transformers import AutoTokenizer

    theirs, peer = tinylm.write_instruct(tmp_path, apart=apart), AutoTokenizer.from_pretrained(tmp_path)
    ours = finish(lm.load(str(tmp_path)), lambda event: None)
    for talk in TALKS:
        messages = [{"role": "system", "content": talk.system}] if talk.system else []
        messages += [{"role": "user", "content": talk.user}]
        text = chat.needed(ours.chat, ours.name).apply(talk)
        ids = tuple(ours.tokenizer.encode(text).ids)
        assert text == peer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        wanted = peer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        assert list(ids) == wanted["input_ids"][0].tolist()
        assert ids.count(ours.tokenizer.id_of(tinylm.END)) == 1  # the template's own, and no second one
        with torch.inference_mode():
            made = theirs.generate(**wanted, max_new_tokens=20, do_sample=False, eos_token_id=sorted(ours.eos))
        events = list(generate(ours, GenerateSpec("", ids, Sampling(greedy=True, max_new_tokens=20)), Control()))
        drawn = [event.id for event in events if isinstance(event, Token)]
        assert drawn == made[0, len(ids) :].tolist()


def test_an_answer_ends_with_its_turn(tmp_path: Path) -> None:
    tinylm.write_instruct(tmp_path)
    turn = tinylm.VOCABULARY + 1
    ours = finish(lm.load(str(tmp_path)), lambda event: None)
    assert ours.eos == {tinylm.VOCABULARY - 1, turn}  # that of config.json, and the end of a turn
    ends = []
    for seed in range(12):  # nearly uniform draws
        sampling = Sampling(temperature=100.0, top_k=0, max_new_tokens=110, seed=seed)
        *tokens, end = generate(ours, GenerateSpec("", (5, 6), sampling), Control())
        assert isinstance(end, Completed)
        drawn = [token.id for token in tokens if isinstance(token, Token)]
        assert ours.eos.isdisjoint(drawn[:-1])
        assert (end.reason == "eos") == (drawn[-1] in ours.eos)
        ends.append(drawn[-1])
    assert turn in ends


def test_a_model_without_a_template_says_so(tmp_path: Path) -> None:
    tinylm.write_instruct(tmp_path, None)
    model = finish(lm.load(str(tmp_path)), lambda event: None)
    assert model.chat is None
    assert model.eos == {tinylm.VOCABULARY - 1}
    with pytest.raises(BadSpec, match="has no chat template; instruct models have one"):
        chat.needed(model.chat, model.name)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{% for", "cannot be applied"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|sandbox"),
        ("{{ 'x' * 5000 }}", "made 5,000 characters; up to 4,000 are used"),
        ("{{ 1 / 0 }}\x1b[31m", "division by zero"),
        ("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", "not done after 0.1 s"),
    ],
)
def test_a_template_that_fails_or_attacks_is_one_sentence(
    tmp_path: Path, template: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tinylm.write_instruct(tmp_path)
    found = ChatTemplate(str(tmp_path))
    found.apply(TALKS[0])  # the libraries are there, and the time is the template's
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
    monkeypatch.setattr(chat, "SECONDS", 0.1 if "range" in template else 30.0)
    monkeypatch.setattr(chat, "LONGEST", 4000)
    ours = chat.find(str(tmp_path))
    assert ours is not None
    assert ours._tokenizer.chat_template == template
    with pytest.raises(BadSpec, match=message) as caught:
        ours.apply(Conversation("a", "b"))
    assert "\n" not in str(caught.value)
    for thread in threading.enumerate():
        if thread.name == "chat-template":
            thread.join(10)
            assert not thread.is_alive(), "a template that never ends is ended"


def test_a_gguf_file_carries_its_template(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    tinygguf.write(file, "llama", model_of("llama"), fields_of("llama"), {"template": tinylm.CHAT_TEMPLATE})
    folder = tmp_path / "converted"
    folder.mkdir()
    gguf_file.convert(file, folder, lambda done, total: None)
    found = chat.find(str(folder))
    assert found is not None
    assert found.apply(Conversation("Chi?", "Tu.")).endswith(
        "<|im_start|>system\nTu.<|im_end|>\n<|im_start|>user\nChi?<|im_end|>\n<|im_start|>assistant\n"
    )
