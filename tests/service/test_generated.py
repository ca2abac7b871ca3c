"""A client that a generator makes of the OpenAPI description, as others will, against a real server."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

generator = pytest.importorskip("openapi_python_client")


@pytest.fixture
def generated(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that openapi-python-client made."""
    from openapi_python_client.config import Config, ConfigFile, MetaType

    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(app.openapi()), encoding="utf-8")
    name = "dragoman_generated"
    # A feed is text to it.
    settings = ConfigFile(post_hooks=[], content_type_overrides={"application/atom+xml": "text/plain"})
    config = Config.from_sources(
        settings, MetaType.NONE, description, "utf-8", overwrite=False, output_path=tmp_path / name
    )
    assert [(each.header, each.detail) for each in generator.generate(config=config)] == []
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_generated_client_adds_asks_and_is_told_of_problems(generated: str, address: str) -> None:
    """Typed both ways: what is sent is checked by its shape, and what comes back is one, problems too."""

    def call(name: str, **given: Any) -> Any:
        return importlib.import_module(f"{generated}.api.{name}").sync(client=client, **given)

    models = importlib.import_module(f"{generated}.models")
    with importlib.import_module(generated).Client(base_url=address) as client:
        added = call("articles.add", body=models.ArticleIn(text="নদী পানি", id="a/b", language="bn"))
        assert [(each.id, each.action.value) for each in added.articles] == [("a/b", "added")]
        more = call("articles.add", body=[models.ArticleIn(text="вода", language="ru"), models.ArticleIn(text="дождь")])
        assert len(more.articles) == 2

        found = call("search.search", body=models.SearchRequest(query="water", languages=["bn"], explain=True))
        by_address = call("search.search_by_address", q="water", language=["bn"])

        [hit] = found.hits
        assert (hit.article_id, hit.text, hit.language, hit.rank) == ("a/b", "নদী পানি", "bn", 1)
        assert hit.explanation.words[0].cosine == 1.0
        assert [each.text for each in by_address.hits] == ["নদী পানি"]
        grouped = call(
            "search.search", body=models.SearchRequest(query="rain", group=models.SearchRequestGroup.ARTICLE)
        )
        assert all(each.sources == [] for each in grouped.hits)
        similar = call("search.similar", passage_id=hit.passage_id, body=models.SimilarRequest(limit=1))
        assert [each.text for each in similar.hits] == ["вода"]
        assert call("articles.passage", passage_id=hit.passage_id).text == "নদী পানি"
        assert [each.id for each in call("articles.articles", limit=1).articles]
        assert call("service.status").articles == 3
        assert len(call("models.embed", body=models.EmbeddingsRequest(input_="water")).data[0].embedding) == 32
        ranked = call("models.rerank", body=models.RerankRequest(query="water", documents=["банк", "вода"]))
        assert ranked.results[0].index == 1

        refused = call("search.search", body=models.SearchRequest(query=" "))
        assert isinstance(refused, models.Problem)
        assert (refused.status, refused.errors[0].pointer) == (422, "/query")
