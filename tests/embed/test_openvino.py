import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embed import BackendUnavailable, Encoder, Role, load_encoder
from embed.backends import conversion, openvino
from embed.backends.openvino import OpenVinoEncoder
from embed.backends.torch import TorchEncoder
from tests.embed.conftest import write_small_model

SERVE = """
import json, sys
from pathlib import Path
from embed import load_encoder
encoder = load_encoder({name!r}, {backend!r}, cache={cache})
vector = encoder.encode_queries(["water in the river"])[0]
passage = encoder.encode_passages(["flood"])[0]
heavy = [m for m in ("torch", "transformers", "sentence_transformers", "huggingface_hub") if m in sys.modules]
heavy += [m for m, module in sys.modules.items() if m.startswith("openvino_telemetry") and module is not None]
print(json.dumps([type(encoder).__name__, heavy, vector.tolist()]))
"""


def serve(name: str, cache: str) -> tuple[str, list[str], list[float]]:
    """Encode in a fresh process; return the encoder's kind, the heavy modules it loaded, and a vector."""
    script = SERVE.format(name=name, backend="auto", cache=cache)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    kind, heavy, vector = json.loads(done.stdout)
    return kind, heavy, vector


def folder_of(cache: Path) -> Path:
    """Return the one converted model in the cache."""
    (folder,) = (path for path in (cache / "openvino").iterdir() if path.is_dir())
    return folder


def test_serving_loads_neither_torch_nor_transformers(small_model: Path, tmp_path: Path) -> None:
    """Once converted, a model is served without torch, transformers, sentence_transformers, or telemetry."""
    encoder = load_encoder(str(small_model), cache=tmp_path)
    kind, heavy, vector = serve(str(small_model), f"Path({str(tmp_path)!r})")
    assert kind == "OpenVinoEncoder"
    assert heavy == []
    np.testing.assert_allclose(vector, encoder.encode_queries(["water in the river"])[0], atol=1e-6)


@pytest.mark.model
def test_the_default_model_is_served_without_torch(model: Encoder) -> None:
    """The same holds for the real default model."""
    kind, heavy, _ = serve(model.name, "None")
    assert (kind, heavy) == ("OpenVinoEncoder", [])


def test_a_graph_that_disagrees_is_not_served(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the graph computes something else, torch serves, says why, and it is not tried again."""
    other = write_small_model(tmp_path / "other", seed=1)
    wrong = conversion._graph(TorchEncoder.load(other, name="other", fingerprint="o", device="cpu").model)
    tried: list[int] = []

    def graph(_: object) -> object:
        tried.append(1)
        return wrong

    monkeypatch.setattr(conversion, "_graph", graph)
    for _ in range(2):
        reports: list[str] = []
        encoder = load_encoder(str(small_model), cache=tmp_path, report=reports.append)
        assert isinstance(encoder, TorchEncoder)
        assert len(reports) == 1
        assert "differs from torch" in reports[0]
    assert tried == [1]
    with pytest.raises(BackendUnavailable, match="differs from torch"):
        load_encoder(str(small_model), "openvino", cache=tmp_path)


def test_a_model_of_another_kind_stays_in_torch(tmp_path: Path) -> None:
    """Pooling that leaves the prompt out is not converted: torch serves it and says so."""
    folder = write_small_model(tmp_path / "model")
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "include_prompt": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    reports: list[str] = []
    encoder = load_encoder(str(folder), cache=tmp_path, report=reports.append)
    assert isinstance(encoder, TorchEncoder)
    assert "its pooling leaves the prompt out" in reports[0]


def test_without_openvino_torch_serves(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without OpenVINO encodes in torch, and is told what to install."""
    monkeypatch.setattr(openvino, "find_spec", lambda _: None)
    reports: list[str] = []
    assert isinstance(load_encoder(str(small_model), cache=tmp_path, report=reports.append), TorchEncoder)
    assert "pip install openvino" in reports[0]
    with pytest.raises(BackendUnavailable, match="pip install openvino"):
        load_encoder(str(small_model), "openvino", cache=tmp_path)


@pytest.mark.parametrize("file", ["model.bin", "model.xml", "tokenizer.json", "encoder.json"])
def test_a_torn_conversion_is_made_again(small_model: Path, tmp_path: Path, file: str) -> None:
    """A file of the converted model that lost its end is noticed, and the model converted anew."""
    expected = load_encoder(str(small_model), cache=tmp_path).encode_queries(["water"])
    path = folder_of(tmp_path) / file
    path.write_bytes(path.read_bytes()[:-10])
    encoder = load_encoder(str(small_model), cache=tmp_path)
    assert isinstance(encoder, OpenVinoEncoder)
    np.testing.assert_allclose(encoder.encode_queries(["water"]), expected, atol=1e-6)


def test_what_is_encoded_first_gets_the_same_vectors(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph is compiled for that alone, and for the rest when it comes."""
    compiled: list[str] = []
    compiling = OpenVinoEncoder._compile

    def told(encoder: OpenVinoEncoder, form: openvino.Form, *more: Any) -> Any:
        compiled.append(form)
        return compiling(encoder, form, *more)

    usual = load_encoder(str(small_model), cache=tmp_path)
    monkeypatch.setattr(OpenVinoEncoder, "_compile", told)
    encoder = load_encoder(str(small_model), cache=tmp_path, first="passage")

    passages = encoder.encode_passages(["flood", "water in the river"])
    assert compiled == ["passage"]
    queries = encoder.encode_queries(["water"])
    assert compiled == ["passage", "one"]
    np.testing.assert_allclose(passages, usual.encode_passages(["flood", "water in the river"]), atol=1e-6)
    np.testing.assert_allclose(queries, usual.encode_queries(["water"]), atol=1e-6)


@pytest.mark.parametrize("first", ["query", "passage"])
def test_altered_weights_are_noticed(small_model: Path, tmp_path: Path, first: Role) -> None:
    """Weights of the right size and the wrong content give wrong vectors: the model is converted anew."""
    expected = load_encoder(str(small_model), cache=tmp_path).encode_queries(["water"])
    path = folder_of(tmp_path) / "model.bin"
    size = path.stat().st_size
    path.write_bytes(np.random.default_rng(0).standard_normal(size).astype(np.float16).tobytes()[:size])
    encoder = load_encoder(str(small_model), cache=tmp_path, first=first)
    assert isinstance(encoder, OpenVinoEncoder)
    np.testing.assert_allclose(encoder.encode_queries(["water"]), expected, atol=1e-6)


def test_a_cache_that_cannot_be_written_is_no_obstacle(small_model: Path, tmp_path: Path) -> None:
    """Where nothing can be kept, torch serves and the report says why."""
    blocked = tmp_path / "file"
    blocked.write_text("a file where the cache folder should be")
    reports: list[str] = []
    assert isinstance(load_encoder(str(small_model), cache=blocked, report=reports.append), TorchEncoder)
    assert "Cannot write" in reports[0]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
def test_all_forms_share_the_pages_of_the_model(small_model: Path, tmp_path: Path) -> None:
    """The file of the weights is mapped once, not once for each form: its pages would count three times."""
    encoder = load_encoder(str(small_model), cache=tmp_path)
    encoder.encode_queries(["water"])
    encoder.encode_queries(["water", "river"])
    encoder.encode_passages(["flood"])
    weights = str(folder_of(tmp_path) / "model.bin")
    assert Path("/proc/self/maps").read_text().count(weights) == 1


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the GNU C library tells what is in use")
def test_kernels_are_kept_of_some_shapes_only(small_model: Path, tmp_path: Path) -> None:
    """What is kept for shapes that came once does not grow with them: a server meets hundreds."""
    load_encoder(str(small_model), cache=tmp_path)
    kept = {most: in_use(folder_of(tmp_path), most) for most in (openvino.KERNELS, 5_000)}
    assert kept[openvino.KERNELS] < kept[5_000] / 2


SHAPES = """
import ctypes, sys
from pathlib import Path
import numpy as np
from embed.backends import openvino

class Told(ctypes.Structure):
    _fields_ = [(str(number), ctypes.c_size_t) for number in range(10)]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Told
openvino.KERNELS = {most}
encoder = openvino.OpenVinoEncoder(Path({folder!r}), name="small", fingerprint="")
requests = encoder._requests("one")
for count in (200, *range(1, 200)):
    requests.infer([np.ones((count, 4), np.int64)] * 2)
    if count == 200:
        before = getattr(libc.mallinfo2(), "7")
print(getattr(libc.mallinfo2(), "7") - before)
"""


def in_use(folder: Path, most: int) -> int:
    """Return the bytes that 199 shapes leave in use in a fresh process where so many kernels are kept."""
    script = SHAPES.format(most=most, folder=str(folder))
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
