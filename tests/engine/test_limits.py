"""Limits of models: token positions of each architecture, tried on small random models of ``transformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import tinylm
import torch
from transformers import AutoConfig, AutoModel

from data.choices import Item
from engine import limits
from engine.choose.likelihood import Reader
from engine.choose.zero_shot import Judging
from engine.encoders.encode import encode
from engine.encoders.find import NoEncoder, of_folder
from engine.runs.messages import Control
from engine.runs.spec import BadSpec

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
    "type_vocab_size": 1,
}
ALIASES = {
    "distilbert": {"dim": 16, "hidden_dim": 16, "n_layers": 1, "n_heads": 2},
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 16},
    "gpt2": {"n_positions": 20, "n_embd": 16, "n_layer": 1, "n_head": 2},
    "ibert": {"quant_mode": False},
    "lilt": {"max_2d_position_embeddings": 8, "channel_shrink_ratio": 1, "hidden_size": 24},
    "longformer": {"attention_window": [4]},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "mpnet": {"pad_token_id": 0},
    "opt": {"ffn_dim": 16, "word_embed_proj_dim": 16},
    "roberta": {"pad_token_id": 3},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}
HARD = ["albert", "bert", "biogpt", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "esm", "gpt2"]
HARD += ["ibert", "lilt", "luke", "mpnet", "nystromformer", "opt", "roberta", "roberta-prelayernorm", "xlm-roberta"]
HARD += ["xlm-roberta-xl", "xmod"]
"""architectures with a table of positions, which has an end"""


def runs(kind: str, tokens: int, **more: Any) -> bool:
    """Whether a model of this kind takes so many tokens, none of which is padding."""
    config = AutoConfig.for_model(kind, **{**SMALL, "pad_token_id": 1, **ALIASES.get(kind, {}), **more})
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    try:
        with torch.inference_mode():
            model(input_ids=torch.full((1, tokens), 7), attention_mask=torch.ones(1, tokens, dtype=torch.long))
    except (IndexError, RuntimeError):
        return False
    return True


def config_of(kind: str, **more: Any) -> dict[str, Any]:
    given = {**SMALL, "pad_token_id": 1, **ALIASES.get(kind, {}), **more}
    return dict(AutoConfig.for_model(kind, **given).to_dict())


@pytest.mark.parametrize("kind", HARD)
def test_a_model_takes_as_many_tokens_as_its_positions_and_no_more(kind: str) -> None:
    most = limits.positions(config_of(kind))
    assert most is not None
    assert runs(kind, most)
    assert not runs(kind, most + 1)


@pytest.mark.parametrize("kind", ["deberta", "deberta-v2"])
def test_relative_positions_are_no_limit(kind: str) -> None:
    relative = {"position_biased_input": False, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    assert limits.positions(config_of(kind, **relative)) is None
    assert runs(kind, 3 * SMALL["max_position_embeddings"], **relative)
    assert limits.positions(config_of(kind)) == SMALL["max_position_embeddings"]


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "distilbert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "gpt2", "n_positions": 1024, "n_ctx": 1024}, 1024),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None),
        ({"model_type": "mamba"}, None),
        ({"model_type": "xlnet", "max_position_embeddings": -1}, None),
    ],
)
def test_positions_of_well_known_models(config: dict[str, Any], most: int | None) -> None:
    assert limits.positions(config) == most


def roberta(folder: Path) -> Path:
    """A RoBERTa of 20 positions over the tests' words, of which 18 are for tokens."""
    from transformers import RobertaConfig, RobertaModel

    tiny.bert(folder)
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(**{**SMALL, "pad_token_id": 1})).save_pretrained(folder)
    return folder


def test_long_texts_of_a_table_with_rows_of_padding_are_cut_to_what_it_takes(tmp_path: Path) -> None:
    encoder = of_folder(roberta(tmp_path), "roberta", "", str(tmp_path))
    texts = [" ".join(tiny.WORDS * 3), "the card", " ".join(tiny.WORDS[:16])]
    made = tiny.finish(encode(texts, encoder, Control(), length=500, device="cpu"))[1]
    assert made.cost.truncated == 1
    model = AutoModel.from_pretrained(tmp_path).eval()
    for row, ids in enumerate(encoder.ids(texts, 18)):
        with torch.inference_mode():
            top = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        assert torch.allclose(top.mean(0), torch.from_numpy(made.pooled("mean")[row]), atol=1e-5)


def add_tokens(folder: Path, *tokens: str) -> None:
    """Put tokens into a folder's tokenizer that its model has no embeddings for."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.add_tokens(list(tokens))
    made.save(str(folder / "tokenizer.json"))


def test_a_token_without_an_embedding_is_one_sentence_everywhere(tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    tinylm.write_gpt2(tmp_path / "lm")
    tiny.bert(tmp_path / "bert")
    add_tokens(tmp_path / "lm", "ravioli")
    add_tokens(tmp_path / "bert", "ravioli")
    lm = tinylm.load(tmp_path / "lm")
    said = f"the token 300 ('ravioli') has no embedding in {lm.name}, which has 300: ids 0 to 299"
    with pytest.raises(BadSpec) as refused:
        tinylm.complete(lm, "ma ravioli re")
    assert str(refused.value) == f"prompt: {said}"
    with pytest.raises(ValueError, match="has no embedding") as caught:
        lm.feed([1, 300])
    assert str(caught.value) == said
    assert tinylm.ids(tinylm.complete(lm, "ma re", max_new_tokens=2))
    items = (Item("ma re?", ("va", "ravioli"), 0), Item("ma re?", ("va", "lo"), 0))
    judging = Judging(Reader(lm), items)
    list(judging.run(Control()))
    assert judging.unscored == {said: 1}
    encoder = of_folder(tmp_path / "bert", "bert", "", str(tmp_path / "bert"))
    words = len(tiny.WORDS) + 5
    with pytest.raises(NoEncoder) as broken:
        encoder.ids(["the card", "my ravioli"], 16)
    assert str(broken.value) == (
        f"the token {words} ('ravioli') has no embedding in bert, which has {words}: ids 0 to {words - 1}"
    )
    assert encoder.ids(["the card"], 16)
