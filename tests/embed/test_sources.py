import shutil
import time
from pathlib import Path

import pytest

from embed import DEFAULT_MODEL, ModelUnavailable, cache, load_encoder, sources


def test_the_name_is_the_one_asked_for(small_model: Path, tmp_path: Path) -> None:
    """A local folder's name is its path as the caller wrote it; the default's is the model's own."""
    assert sources.find(str(small_model), tmp_path).name == str(small_model)
    assert sources.find(DEFAULT_MODEL, tmp_path).name == DEFAULT_MODEL


def test_the_fingerprint_follows_what_determines_the_vectors(small_model: Path, tmp_path: Path) -> None:
    """Weights, tokenizer, prompts and pooling change it; a read-me, another place and another time do not."""
    model = tmp_path / "model"
    shutil.copytree(small_model, model)
    first = sources.fingerprint(small_model, tmp_path)
    assert len(first) == 64
    (model / "README.md").write_text("words")
    assert sources.fingerprint(model, tmp_path) == first
    for name in (
        "model.safetensors",
        "tokenizer.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
    ):
        path = model / name
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert sources.fingerprint(model, tmp_path) != first, name
        path.write_bytes(before)
    assert sources.fingerprint(model, tmp_path) == first


def test_the_fingerprint_is_kept(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has not changed is not read again."""
    first = sources.fingerprint(small_model, tmp_path)
    monkeypatch.setattr(cache, "sha256", lambda _: pytest.fail("read again"))
    assert sources.fingerprint(small_model, tmp_path) == first


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "a/b/c", "no spaces allowed", ""])
def test_a_folder_that_is_not_there_names_the_choices(name: str, tmp_path: Path) -> None:
    """A path that leads nowhere is told as such, with what could be asked for instead."""
    with pytest.raises(ModelUnavailable, match=f"{DEFAULT_MODEL} .*sentence-transformers folder.*hub"):
        load_encoder(name, cache=tmp_path)


def test_a_folder_that_is_no_model_names_the_choices(small_model: Path, tmp_path: Path) -> None:
    """A folder without configuration, or without weights, is no model."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelUnavailable, match=r"neither modules\.json nor config\.json.*Choose"):
        load_encoder(str(empty), cache=tmp_path)
    bare = tmp_path / "bare"
    shutil.copytree(small_model, bare)
    (bare / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"no weights.*Choose"):
        load_encoder(str(bare), cache=tmp_path)


def test_a_hub_that_cannot_be_reached_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network the error comes within the time that we are ready to wait, and names the choices."""
    import huggingface_hub

    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: time.sleep(5))
    started = time.perf_counter()
    with pytest.raises(ModelUnavailable, match=r"hub cannot be reached \(no answer.*Choose"):
        load_encoder("nobody/no-such-model", cache=tmp_path)
    assert time.perf_counter() - started < 4
