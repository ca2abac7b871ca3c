"""Turns a sentence-transformers model in torch into a folder that the OpenVINO backend serves, and checks it.

Done once for a model; imports torch, which the serving backend never does.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embed import cache
from embed.backends.batches import edges
from embed.backends.openvino import (
    AGREEMENT,
    AGREEMENT_INT8,
    FORMAT,
    GRAPH,
    SETTINGS,
    TOKENIZER,
    Disagreement,
    OpenVinoEncoder,
    has_bfloat16,
    openvino,
)
from embed.backends.quantisation import quantise, random_inputs
from embed.backends.torch import TorchEncoder, free_tokenizer
from embed.cache import Progress, quiet
from embed.errors import BackendUnavailable

# Modules that are plain arithmetic on the transformer's output. Others may choose a path by task or by text
# (Router), or need a text's words: they stay in torch.
KNOWN = {"Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"}

# Sentences in many languages and scripts on which graph and torch must agree (from Article 1 of the Universal
# Declaration of Human Rights, in the public domain).
SAMPLES = [
    "All human beings are born free and equal in dignity and rights.",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "人人生而自由，在尊严和权利上一律平等。",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในศักดิ์ศรีและสิทธิ",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "Binadamu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "free?",
]


# The name of our attention among those of transformers, and between what scores it takes them for what they are.
ATTENTION, BOUNDS = "dragoman", (-87.0, 60.0)

# The attributes of a matrix product that transposes nothing.
PLAIN = {"transpose_a": False, "transpose_b": False}


class Unfit(Exception):
    """The model is not one that a graph can stand for; the message says why."""


def convert(torch_encoder: TorchEncoder, folder: Path, progress: Progress | None = None) -> OpenVinoEncoder:
    """Convert the model into `folder`, check it against torch, and return the encoder that serves it.

    Raises `BackendUnavailable` without OpenVINO, and where the model is of a kind that is not converted or
    the graph disagrees with torch; this is noted in the folder, so that it is not tried again at each start.
    """
    told = progress or quiet
    openvino()
    name, fingerprint = torch_encoder.name, torch_encoder.fingerprint

    def write(aside: Path) -> Mapping[str, Any]:
        identity = {"model": name, "fingerprint": fingerprint, "format": FORMAT}
        try:
            _write(torch_encoder, aside, told)
        except (Unfit, Disagreement) as reason:
            for path in aside.iterdir():
                path.unlink()
            return {**identity, "unfit": str(reason)}
        return identity

    def made() -> bool:
        manifest = cache.manifest(folder)
        wanted = (FORMAT, fingerprint)
        if manifest is None or (manifest.get("format"), manifest.get("fingerprint")) != wanted:
            return False
        return not cache.damaged(folder, manifest)

    cache.build(folder, made, write, kind="the converted model")
    told("Converting the model", 1.0)
    try:
        encoder = OpenVinoEncoder.load(folder, name=name, fingerprint=fingerprint)
    except Disagreement as reason:  # it was converted elsewhere or earlier, and agreed there
        raise BackendUnavailable(f"{reason}.") from reason
    if encoder is None:
        raise BackendUnavailable(f"The converted model in {folder} was damaged as soon as it was written.")
    return encoder


def _write(torch_encoder: TorchEncoder, folder: Path, told: Progress) -> None:
    model = torch_encoder.model
    if reason := unfit(model):
        raise Unfit(f"{torch_encoder.name} is not converted to an OpenVINO graph: {reason}")
    told("Converting the model", 0.0)
    graph = _graph(model)
    told("Converting the model", 0.3)
    free_tokenizer(model).save(str(folder / TOKENIZER), pretty=False)
    # Weights as float16: half the size on disk and in memory; bfloat16 arithmetic has less to say.
    openvino().save_model(graph, str(folder / GRAPH), compress_to_fp16=True)
    core = openvino().Core()
    if has_bfloat16(core):
        # Read back, as OpenVINO halves no weights of a graph with integers in it.
        core.set_property({"ENABLE_MMAP": False})
        halved = core.read_model(str(folder / GRAPH))
        rounded = halved.clone()
        quantise(rounded, list(_inputs(torch_encoder)))
        openvino().save_model(rounded, str(folder / GRAPH))
        told("Converting the model", 0.5)
        try:
            _finish(torch_encoder, folder, AGREEMENT_INT8)
            return
        except (Unfit, Disagreement):  # a model that cannot stand it, or products that OpenVINO cannot round
            openvino().save_model(halved, str(folder / GRAPH))
            told("Converting the model", 0.6)
    _finish(torch_encoder, folder, AGREEMENT)


def _finish(torch_encoder: TorchEncoder, folder: Path, agreement: float) -> None:
    """Write the settings; raises `Unfit` or `Disagreement` unless the graph in the folder encodes as torch does."""
    settings = {
        "dim": torch_encoder.dim,
        "window": torch_encoder.window,
        "token_dim": torch_encoder.token_dim,
        "prompts": torch_encoder.prompts,
        "pad": torch_encoder.model.tokenizer.pad_token_id or 0,
        "agreement": agreement,
        "probe": {"text": SAMPLES[0], "vector": torch_encoder.encode_passages(SAMPLES[:1])[0].tolist()},
    }
    (folder / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    try:
        _check(torch_encoder, folder)
    except RuntimeError as error:  # OpenVINO's own, of a graph that it cannot compile or run
        raise Unfit(f"OpenVINO cannot run the graph of {torch_encoder.name}: {str(error)[-200:].strip()}") from error


def _check(torch_encoder: TorchEncoder, folder: Path) -> None:
    """Raise `Disagreement` unless the converted model counts and encodes as torch does."""
    encoder = OpenVinoEncoder(folder, name=torch_encoder.name, fingerprint=torch_encoder.fingerprint)
    texts = samples(torch_encoder)
    if encoder.count_tokens(texts) != torch_encoder.count_tokens(texts):
        raise Disagreement(f"The tokenizer of {torch_encoder.name} counts otherwise outside torch")
    encoder.agree(texts, torch_encoder.encode_passages(texts), "passage")
    overlong = " ".join(texts)
    encoder.agree([*texts, overlong], torch_encoder.encode_queries([*texts, overlong]), "query")


def _inputs(encoder: TorchEncoder) -> Iterator[Any]:
    """Yield token ids (n, length) on which to see how wide the graph's values are: samples, and pieces at random."""
    tokenizer = free_tokenizer(encoder.model)
    for prompt in dict.fromkeys(encoder.prompts.values()):
        for text in samples(encoder):
            yield np.array([tokenizer.encode(prompt + text).ids[: encoder.window]], np.int64)
    prompt = encoder.prompts["passage"]
    before, after = edges(tokenizer, prompt)
    frame = tokenizer.encode(prompt + "a").ids
    vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=False).values())
    yield from random_inputs(vocabulary, frame[:before], frame[len(frame) - after :], encoder.window)


def samples(encoder: TorchEncoder) -> list[str]:
    """Return the sample texts, and longer ones made of them, up to the encoder's window."""
    texts = list(SAMPLES)
    for length in (4, 12, 24):
        joined = " ".join((SAMPLES * 2)[:length])
        if encoder.count_tokens([joined])[0] <= encoder.window:
            texts.append(joined)
    return [text for text in texts if encoder.count_tokens([text])[0] <= encoder.window]


def unfit(model: Any) -> str | None:
    """Return why a sentence-transformers model cannot be converted, or None where it can."""
    modules = [type(module).__name__ for module in model]
    if modules[:1] != ["Transformer"] or not KNOWN.issuperset(modules):
        return f"its modules are {', '.join(modules)}, and {', '.join(sorted(KNOWN))} are what is converted"
    if not all(getattr(module, "include_prompt", True) for module in model):
        return "its pooling leaves the prompt out"
    if getattr(model, "truncate_dim", None) is not None:
        return "its vectors are truncated"
    if not hasattr(model.tokenizer, "backend_tokenizer"):
        return "its tokenizer is not one of the `tokenizers` library"
    if getattr(model[0], "do_lower_case", False):
        return "it lower-cases texts outside its tokenizer"
    return None


def _graph(model: Any) -> Any:
    """Return the OpenVINO graph of transformer, pooling and all, from token ids and mask to unit vectors and tokens.

    Written so that all of it runs in bfloat16: OpenVINO keeps in float32 whatever leads from the last matrix product
    to an output, which by way of the residual connections is every layer. So the mean over tokens, and the token
    vectors on their way out, go through matrix products that change nothing.
    """
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(model)
            self.same = torch.nn.Parameter(torch.eye(model[0].get_embedding_dimension()), requires_grad=False)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            features = self.steps[0](features)
            tokens = features["token_embeddings"]
            for step in self.steps[1:]:
                if is_mean(step):
                    mask = attention_mask.to(tokens.dtype)
                    total = torch.matmul(mask[:, None, :], tokens)[:, 0]
                    features["sentence_embedding"] = total / mask.sum(dim=1, keepdim=True)
                else:
                    features = step(features)
            vectors = torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)
            return vectors, torch.matmul(tokens, self.same)

    ov = openvino()
    ids = torch.from_numpy(np.arange(20, 52, dtype=np.int64).reshape(2, 16) % model.tokenizer.vocab_size)
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    transformer = model[0].auto_model
    attention = transformer.config._attn_implementation
    try:
        transformer.set_attn_implementation(plain_attention())
        # Tracing warns of each value that it takes for a constant; whether that was right is checked on
        # samples.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = ov.convert_model(
                Whole().eval(),
                example_input={"input_ids": ids, "attention_mask": mask},
                input=[("input_ids", [-1, -1], ov.Type.i64), ("attention_mask", [-1, -1], ov.Type.i64)],
            )
            transpose_in_product(graph)
            return graph
    except Exception as error:  # whatever the tracer and the converter meet in a model nobody has tried
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise Unfit(f"The model could not be converted to an OpenVINO graph: {reason}") from error
    finally:
        transformer.set_attn_implementation(attention)


def transpose_in_product(graph: Any) -> None:
    """Let the products of queries and keys take the keys as they lie, (batch, length, heads, width).

    OpenVINO's converter lays them out anew, (batch, heads, width, length), before each product, which would transpose
    them at no cost while it reads them.
    """
    ops = openvino().opset13
    for product in graph.get_ordered_ops():
        if product.get_type_name() != "MatMul" or product.get_attributes() != PLAIN:
            continue
        laid, order = product.input_value(1).get_node(), None
        if laid.get_type_name() == "Transpose":
            order = getattr(laid.input_value(1).get_node(), "data", None)
        if order is not None and order.tolist() == [0, 2, 3, 1]:
            keys = ops.transpose(laid.input_value(0), ops.constant(np.array([0, 2, 1, 3], np.int64)))
            straight = ops.matmul(product.input_value(0), keys, False, True)
            product.output(0).replace(straight.output(0))
    graph.validate_nodes_and_infer_types()


def is_mean(step: Any) -> bool:
    """Tell whether a module is pooling by the mean over all tokens."""
    return type(step).__name__ == "Pooling" and step.pooling_mode in ("mean", ("mean",))


def plain_attention() -> str:
    """Return the name of an attention in plain operations, with a softmax that takes one pass instead of three.

    exp(s) / sum exp(s) is the softmax without its subtraction of the largest score, which is there so that exp stays
    finite. Bounded scores do that as well: e^60 times any window is within bfloat16, and e^-87, what is left of a
    masked score, is next to nothing without being zero, so that a row of nothing but padding is no quotient of zeros.
    In a trained encoder scores do not come near the bounds, and the check against torch would tell. The one pass,
    bounds, mask and exp together, is worth a tenth of the encoding (benchmarks/results.md).
    """
    import torch
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attend(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        groups = getattr(module, "num_key_value_groups", 1)
        if groups > 1:
            key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        scale = query.size(-1) ** -0.5 if scaling is None else scaling
        scores = torch.matmul(query, key.transpose(2, 3)) * scale
        weights = torch.exp(torch.clamp(scores if mask is None else scores + mask, *BOUNDS))
        total = weights.sum(dim=-1, keepdim=True)
        return (torch.matmul(weights, value) / total).transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, eager_mask)
    return ATTENTION
