"""Models in GGUF files, llama.cpp's format: dequantized once, into a folder in the cache that ``transformers`` loads.

What llama.cpp changes when it writes a file is undone: the names of the tensors, the order of the rows of Llama's
queries and keys, the one added to Gemma's norms, and the direction of GPT-2's layers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import home
from engine.encoders import cache
from engine.errors import first_line
from engine.hub import INDEX, WEIGHTS
from engine.lm.child_process import followed
from engine.model_folder import present, replaced, write_json
from engine.runs.events import Event, Progress

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader
    from numpy.typing import NDArray

VERSION = 1  # of what is converted to; a change converts again
SHARD = 1 << 30  # bytes of one safetensors file: no more than two are in memory

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_FOUR_NORMS = _LAYER | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GPT2_LAYER = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
_AROUND = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_GPT2_AROUND = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
}
_SETTINGS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
_GPT2_SETTINGS = {
    "context_length": "n_positions",
    "embedding_length": "n_embd",
    "block_count": "n_layer",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
}
_CLASSES = {
    "llama": ("llama", "LlamaForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen3": ("qwen3", "Qwen3ForCausalLM"),
    "gemma": ("gemma", "GemmaForCausalLM"),
    "gemma2": ("gemma2", "Gemma2ForCausalLM"),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
    "gpt2": ("gpt2", "GPT2LMHeadModel"),
}
"""llama.cpp's architectures that are read, and ``model_type`` and class of ``transformers``"""


class BadFile(Exception):
    """A GGUF file that cannot be converted; the message says why and what to do."""


def converted(
    file: Path, obey: Callable[[], Iterator[Event]], folder: Path | None = None
) -> Generator[Event, None, Path]:
    """The folder with the numbers of a GGUF file as float16, from the cache or converted by a process of its own.

    ``folder`` is where to put it, by default :func:`place`. ``obey`` is called meanwhile; what it raises ends the
    conversion. Yields ``Progress`` in numbers. Raises :class:`BadFile` and :class:`OSError`.
    """
    folder = folder or place(file)
    found = present(folder)
    if (found / "config.json").is_file():
        return cache.use(found)
    what = f"converting {file.name}"
    yield Progress(what, 0, 0)
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from engine.lm.gguf_file import main; main()"
    command = [sys.executable, "-P", "-c", start, str(Path(__file__).parents[2]), str(file.absolute()), str(folder)]
    try:
        code, printed = yield from followed(command, lambda printed: _progress(what, printed), obey)
    finally:
        with contextlib.suppress(OSError):
            present(folder)  # removes what a killed process has half written
    if code:
        lines = [line for line in printed.splitlines() if line and not line.startswith("{")]
        raise BadFile(lines[-1] if lines else f"{file.name}: the conversion was ended by the system (out of memory?)")
    cache.trim()
    return folder


def place(file: Path) -> Path:
    """Where the conversion of a file is kept: path, size and time decide. Raises :class:`OSError`."""
    about = file.stat()
    named = f"{VERSION}:{file.absolute()}:{about.st_size}:{about.st_mtime_ns}"
    return home.models() / f"{file.stem[:60]}-{hashlib.sha256(named.encode()).hexdigest()[:16]}"


def _progress(what: str, printed: str) -> Progress:
    """How far the process is: its last whole line of progress."""
    lines = [line for line in printed.splitlines() if line.startswith("{") and line.endswith("}")]
    return Progress(what, **json.loads(lines[-1])) if lines else Progress(what, 0, 0)


def main() -> None:
    """The converting process: ``file folder`` as arguments; progress as lines of JSON, a fault as the last line."""
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        with replaced(folder) as temporary:
            convert(file, temporary, lambda done, total: print(json.dumps({"done": done, "total": total}), flush=True))
    except BadFile as error:
        sys.exit(f"{file.name}: {error}")
    except Exception as error:  # whatever a damaged or malicious file makes the readers raise
        sys.exit(f"{file.name} cannot be converted ({first_line(error)}): download it again")


def convert(file: Path, folder: Path, tell: Callable[[int, int], object]) -> None:
    """Write model, settings and tokenizer of a GGUF file into ``folder``; ``tell`` gets numbers done and in all.

    Raises :class:`BadFile`, :class:`OSError` and what the ``gguf`` package raises for a damaged file.
    """
    from gguf import GGUFReader, dequantize

    with open(file, "rb") as opened:
        if opened.read(4) != b"GGUF":
            raise BadFile("it does not begin as a GGUF file does")
    reader = GGUFReader(file)
    fields = _Fields(reader)
    config = _config(fields, reader)
    names = _names(fields)
    shards = _Shards(folder)
    done, total = 0, sum(int(tensor.n_elements) for tensor in reader.tensors)
    tell(0, total)
    for tensor in reader.tensors:
        if tensor.name not in _NOT_WEIGHTS:
            name = names(tensor.name)
            if name is None:
                raise BadFile(f"it holds {tensor.name}, which {fields.architecture} has no place for")
            shards.add(name, _undone(tensor.name, dequantize(tensor.data, tensor.tensor_type), config))
        done += int(tensor.n_elements)
        tell(done, total)
    shards.finish()
    write_tokenizer(fields, file, folder)
    write_json(folder / "config.json", config)


_NOT_WEIGHTS = ("rope_freqs.weight",)


class _Fields:
    """The metadata of a file, those of its architecture by the rest of their names."""

    def __init__(self, reader: GGUFReader) -> None:
        self._fields = reader.fields
        self.architecture = str(self.get("general.architecture", ""))

    def get(self, name: str, default: Any = None) -> Any:
        found = self._fields.get(name)
        return default if found is None else found.contents()

    def of_model(self, name: str, default: Any = None) -> Any:
        return self.get(f"{self.architecture}.{name}", default)

    def of_tokenizer(self, name: str, default: Any = None) -> Any:
        return self.get(f"tokenizer.ggml.{name}", default)


def _config(fields: _Fields, reader: GGUFReader) -> dict[str, Any]:
    """What ``config.json`` says of the model. Raises :class:`BadFile` for what is not read."""
    kind = fields.architecture
    if kind not in _CLASSES:
        raise BadFile(
            f"its architecture {kind or 'without a name'} is not read from GGUF ({', '.join(_CLASSES)} are): "
            "give the model's folder with safetensors, or its name on the Hub"
        )
    if int(fields.get("split.count", 1)) > 1:
        raise BadFile("it is one of several parts: join them with llama-gguf-split --merge and give the result")
    shapes = {tensor.name: [int(size) for size in reversed(tensor.shape)] for tensor in reader.tensors}
    model_type, class_name = _CLASSES[kind]
    config: dict[str, Any] = {"architectures": [class_name], "model_type": model_type, "dtype": "float16"}
    config["vocab_size"] = shapes["token_embd.weight"][0]
    config["tie_word_embeddings"] = "output.weight" not in shapes
    for one, their in (("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")):
        config[their] = fields.of_tokenizer(f"{one}_token_id")
    for ours, theirs in (_GPT2_SETTINGS if kind == "gpt2" else _SETTINGS).items():
        value = fields.of_model(ours)
        if value is not None:
            config[theirs] = float(f"{value:.7g}") if isinstance(value, float) else value
    if kind == "gpt2":
        return config
    heads = config.setdefault("num_key_value_heads", config["num_attention_heads"])
    config["head_dim"] = shapes["blk.0.attn_k.weight"][0] // heads
    if kind == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in shapes
    # What Gemma's 27B models scale queries by is in no field: llama.cpp has the same rule.
    if kind in ("gemma2", "gemma3") and config["num_hidden_layers"] in (46, 62):
        config["query_pre_attn_scalar"] = config["hidden_size"] // config["num_attention_heads"]
    rope = _rope(fields, reader)
    if kind == "gemma3":
        local = {"rope_type": "default", "rope_theta": fields.of_model("rope.freq_base_swa", 10000.0)}
        config["rope_parameters"] = {"full_attention": rope, "sliding_attention": local}
    else:
        config["rope_parameters"] = rope
    return config


def _rope(fields: _Fields, reader: GGUFReader) -> dict[str, Any]:
    """How positions turn queries and keys. Raises :class:`BadFile` for a way of stretching that is not read."""
    theta = float(fields.of_model("rope.freq_base", 1e6 if fields.architecture == "gemma3" else 10000.0))
    scaling = fields.of_model("rope.scaling.type", "none")
    factors = next((tensor.data for tensor in reader.tensors if tensor.name in _NOT_WEIGHTS), None)
    if factors is not None:  # Llama 3.1 and later: all of them stretch 8,192 positions, with these two bounds
        bounds = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
        return {"rope_type": "llama3", "rope_theta": theta, "factor": float(factors.max()), **bounds}
    if scaling == "linear":
        return {"rope_type": "linear", "rope_theta": theta, "factor": float(fields.of_model("rope.scaling.factor", 1))}
    if scaling != "none":
        raise BadFile(f"its RoPE is stretched by {scaling}, which is not read from GGUF: give the model's folder")
    return {"rope_type": "default", "rope_theta": theta}


def _names(fields: _Fields) -> Callable[[str], str | None]:
    """A function from llama.cpp's name of a tensor to that of ``transformers``, None for an unknown one."""
    gpt2 = fields.architecture == "gpt2"
    around, prefix = (_GPT2_AROUND, "transformer.h") if gpt2 else (_AROUND, "model.layers")
    layer = _GPT2_LAYER if gpt2 else _FOUR_NORMS if fields.architecture in ("gemma2", "gemma3") else _LAYER

    def name(given: str) -> str | None:
        stem, _, suffix = given.rpartition(".")
        if not stem.startswith("blk."):
            return f"{around[stem]}.{suffix}" if stem in around else None
        _, number, part = stem.split(".", 2)
        return f"{prefix}.{number}.{layer[part]}.{suffix}" if part in layer else None

    return name


def _undone(name: str, numbers: NDArray[Any], config: Mapping[str, Any]) -> NDArray[np.float16]:
    """The numbers of a tensor as ``transformers`` has them, in float16."""
    kind, part = config["model_type"], name.split(".")[-2]
    if kind == "llama" and part in ("attn_q", "attn_k"):
        heads = config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"]
        pairs = numbers.reshape(heads, -1, 2, *numbers.shape[1:])
        numbers = pairs.swapaxes(1, 2).reshape(numbers.shape)
    elif kind.startswith("gemma") and part.endswith("norm"):
        numbers = numbers - 1
    elif kind == "gpt2" and name.startswith("blk.") and name.endswith("weight") and numbers.ndim == 2:
        numbers = numbers.T
    half: NDArray[np.float16] = numbers.astype("float16", order="C")
    return half


class _Shards:
    """Writes tensors into safetensors files of about ``SHARD`` bytes, and their index where there are several."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tensors: dict[str, NDArray[Any]] = {}
        self._files: dict[str, list[str]] = {}

    def add(self, name: str, tensor: NDArray[Any]) -> None:
        self._tensors[name] = tensor
        if sum(tensor.nbytes for tensor in self._tensors.values()) >= SHARD:
            self._write(f"model-{len(self._files) + 1:05}.safetensors")

    def finish(self) -> None:
        if not self._files:
            self._write(WEIGHTS)
            return
        if self._tensors:
            self._write(f"model-{len(self._files) + 1:05}.safetensors")
        places = {name: file for file, names in self._files.items() for name in names}
        write_json(self._folder / INDEX, {"metadata": {}, "weight_map": places})

    def _write(self, file: str) -> None:
        from safetensors.numpy import save_file

        save_file(self._tensors, self._folder / file, metadata={"format": "pt"})
        self._files[file], self._tensors = list(self._tensors), {}


_CONTROL, _USER_DEFINED = 3, 4  # llama.cpp's types of tokens


def write_tokenizer(fields: _Fields, file: Path, folder: Path) -> None:
    """Write ``tokenizer.json`` and its settings.

    GPT-2's and SmolLM's byte-level BPE is built here; for other kinds ``transformers`` builds it.
    """
    from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as Backend

    tokens, types = fields.of_tokenizer("tokens", []), fields.of_tokenizer("token_type", [])
    kind, pre = fields.of_tokenizer("model"), fields.of_tokenizer("pre", "default")
    if kind == "gpt2" and pre in ("default", "gpt-2", "smollm"):
        merges = [tuple(line.split(" ", 1)) for line in fields.of_tokenizer("merges", [])]
        backend = Backend(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
        splitters = [pre_tokenizers.Digits(individual_digits=True)] if pre == "smollm" else []
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([*splitters, byte_level]) if splitters else byte_level
        backend.decoder = decoders.ByteLevel()
    else:
        from transformers import AutoTokenizer

        made: Any = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name, trust_remote_code=False)
        backend = made.backend_tokenizer
    for number, type_ in enumerate(types):
        if type_ == _CONTROL:
            backend.add_special_tokens([AddedToken(tokens[number], normalized=False)])
        elif type_ == _USER_DEFINED:
            backend.add_tokens([AddedToken(tokens[number], normalized=False)])
    ids = {one: fields.of_tokenizer(f"{one}_token_id") for one in ("bos", "eos")}
    if fields.of_tokenizer("add_bos_token", kind == "llama") and ids["bos"] is not None:
        bos = tokens[ids["bos"]]
        backend.post_processor = processors.TemplateProcessing(f"{bos} $A", special_tokens=[(bos, ids["bos"])])
    backend.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast"}
    about |= {f"{one}_token": tokens[number] for one, number in ids.items() if number is not None}
    if template := fields.get("tokenizer.chat_template"):
        about["chat_template"] = template
    write_json(folder / "tokenizer_config.json", about)
