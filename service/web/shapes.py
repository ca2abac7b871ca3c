"""Answers, articles and passages in their shapes on the wire: the one place where records become JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic_core import to_json

import index
from service.engine import Answer
from service.pools import Outcome
from service.reranking import Reranked
from service.why import Explanation, Share
from service.wire import (
    ArticleKept,
    ArticleOut,
    Characters,
    CountOut,
    ExplanationOut,
    HitOut,
    OutcomeOut,
    PassageOut,
    RerankedOut,
    SimilarAnswer,
    Span,
    StatusOut,
    TokenShare,
    WordsMet,
)


def answer_json(found: Answer) -> bytes:
    """Return an answer as JSON in the shape `SearchAnswer`, without one being made: what is told here is checked by the
    tests, and to have it checked at each search would take longer than to write it.
    """
    hits = [
        match(*each) if found.group == "none" else group(*each, found.inner_sentences)
        for each in zip(found.hits, found.sentences, found.explanations, strict=True)
    ]
    if found.reranked is not None:
        for hit, score in zip(hits, found.reranked.scores, strict=True):
            hit["rerank_score"] = None if score is None else round(score, 4)
    told = {
        "query_language": {
            "code": found.query_language.code,
            "confidence": round(found.query_language.confidence, 4),
        },
        "answer": {"found": found.found, "relevance": None if found.relevance is None else round(found.relevance, 4)},
        "hits": hits,
        "facets": None if found.facets is None else facets_out(found.facets),
        "reranked": None if found.reranked is None else reranked_out(found.reranked),
        "next_cursor": found.next_cursor,
        "took_ms": round(found.took_ms, 2),
    }
    return to_json(told)


def reranked_out(told: Reranked) -> RerankedOut:
    """Return what a re-ranker did in its shape on the wire."""
    return RerankedOut(model=told.model, scored=told.scored, complete=told.scored == len(told.hits))


def facets_out(facets: Mapping[str, Sequence[index.Count]]) -> dict[str, list[CountOut]]:
    """Return counts by facet in their shape on the wire."""
    return {
        name: [CountOut(value=each.value, passages=each.passages, articles=each.articles) for each in counts]
        for name, counts in facets.items()
    }


def similar_out(hits: Sequence[index.Hit]) -> SimilarAnswer:
    """Return similar passages in their shape on the wire."""
    return SimilarAnswer(hits=[HitOut(**match(hit, None, None)) for hit in hits])


def group(
    hit: index.Hit,
    best: tuple[int, int] | None,
    why: Explanation | None,
    inner: Mapping[int, tuple[int, int] | None],
) -> dict[str, Any]:
    """Return what is told of a group; `inner` tells by row the best sentences of the hits under the first."""

    def passages(of: index.Hit) -> list[dict[str, Any]]:
        return [match(each, inner[each.row], None) for each in of.passages]

    sources = [{**match(each, inner[each.row], None), "passages": passages(each)} for each in hit.sources]
    return {**match(hit, best, why), "passages": passages(hit), "sources": sources}


def match(hit: index.Hit, best: tuple[int, int] | None, why: Explanation | None) -> dict[str, Any]:
    """Return what is told of every passage that answers, in the order of `HitOut`."""
    passage, article = hit.passage, hit.article
    return {
        "rank": hit.rank,
        "passage_id": passage.id,
        "article_id": article.id,
        "title": article.title,
        "text": passage.text,
        "language": article.language,
        "relevance": None if hit.relevance is None else round(float(hit.relevance), 4),
        "similarity": round(float(hit.similarity), 6),
        "raw_similarity": round(float(hit.raw), 6),
        "start": passage.start,
        "end": passage.end,
        "best_sentence": None if best is None else {"start": best[0], "end": best[1]},
        "explanation": None if why is None else explanation_out(why),
        "url": article.url,
        "source": article.source,
        "published_at": article.published_at,
        "metadata": dict(article.metadata),
        "rerank_score": None,
    }


def explanation_out(why: Explanation) -> ExplanationOut:
    """Return an explanation in its shape on the wire, with decimals enough that the shares still sum."""

    def listed(tokens: Sequence[Share]) -> list[TokenShare]:
        return [TokenShare(start=each.start, end=each.end, share=round(each.share, 8)) for each in tokens]

    return ExplanationOut(
        tokens=listed(why.tokens),
        rest=round(why.rest, 8),
        query_tokens=listed(why.query_tokens),
        query_rest=round(why.query_rest, 8),
        words=[
            WordsMet(query=characters(met.query), passage=characters(met.passage), cosine=round(met.cosine, 4))
            for met in why.words
        ],
    )


def characters(span: tuple[int, int]) -> Characters:
    """Return a span in its shape on the wire."""
    return Characters(start=span[0], end=span[1])


def about(article: index.Article) -> dict[str, Any]:
    """Return what passages and articles both tell of an article."""
    return {
        "title": article.title,
        "language": article.language,
        "url": article.url,
        "source": article.source,
        "published_at": article.published_at,
        "metadata": dict(article.metadata),
    }


def kept_out(article: index.Article) -> ArticleKept:
    """Return an article in its shape on the wire, without its passages."""
    return ArticleKept(text=article.text, id=article.id, **about(article))


def article_out(article: index.Article, passages: Sequence[index.Passage]) -> ArticleOut:
    """Return an article in its shape on the wire."""
    spans = [Span(passage_id=each.id, position=each.position, start=each.start, end=each.end) for each in passages]
    return ArticleOut(text=article.text, passages=spans, id=article.id, **about(article))


def passage_out(passage: index.Passage, article: index.Article) -> PassageOut:
    """Return a passage in its shape on the wire."""
    return PassageOut(
        passage_id=passage.id,
        article_id=article.id,
        position=passage.position,
        start=passage.start,
        end=passage.end,
        text=passage.text,
        **about(article),
    )


def outcome_out(outcome: Outcome) -> OutcomeOut:
    """Return what became of an article in its shape on the wire."""
    return OutcomeOut(
        id=outcome.article_id, action=outcome.action, passages=outcome.passages, language=outcome.language
    )


def release() -> str:
    """Return the version of Dragoman that is installed."""
    try:
        return version("dragoman")
    except PackageNotFoundError:
        return "0+unknown"


def status_out(status: index.Status) -> StatusOut:
    """Return the state of a library in its shape on the wire."""
    return StatusOut(version=release(), **dataclasses.asdict(status))
