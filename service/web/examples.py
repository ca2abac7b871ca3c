"""Examples of what goes over HTTP, by the name of the shape: for the reference, and for clients made from it."""

from collections.abc import Mapping
from typing import Any

_CHARACTERS = {"start": 0, "end": 41}
_ABOUT = {
    "title": "ঢাকায় বন্যা",
    "language": "bn",
    "url": "https://example.org/news/flood",
    "source": "example",
    "published_at": "2023-05-06",
    "metadata": {"desk": "weather"},
}
_TEXT = "ঢাকায় ভারী বৃষ্টিপাতে বন্যা দেখা দিয়েছে।"
_PASSAGE_ID = "9f0c6a2b7d5e4c1f8a3b6d20"
_HIT = {
    "rank": 1,
    "passage_id": _PASSAGE_ID,
    "article_id": "dhaka-flood",
    "text": _TEXT,
    "relevance": 0.9312,
    "similarity": 0.604118,
    "raw_similarity": 0.861032,
    "start": 0,
    "end": 41,
    "best_sentence": _CHARACTERS,
    "explanation": None,
    "rerank_score": None,
    **_ABOUT,
}
_OUTCOME = {"id": "dhaka-flood", "action": "added", "passages": 1, "language": "bn"}
_QUESTION = {
    "id": "q-3f9a1c",
    "query": "Which flights over Belarus are forbidden?",
    "created_at": "2023-05-06T10:00:00+00:00",
    "min_relevance": 0.6,
    "languages": [],
    "filter": None,
    "query_language": None,
    "webhook": None,
    "matches": 1,
    "pending": 0,
    "failed": 0,
    "error": None,
}
_SPAN = {"passage_id": _PASSAGE_ID, "position": 0, "start": 0, "end": 41}
_KEPT = {"id": "dhaka-flood", "text": _TEXT, **_ABOUT}

EXAMPLES: Mapping[str, Any] = {
    "SearchAnswer": {
        "query_language": {"code": "en", "confidence": 0.9981},
        "answer": {"found": True, "relevance": 0.9312},
        "hits": [_HIT],
        "facets": None,
        "reranked": None,
        "next_cursor": None,
        "took_ms": 14.2,
    },
    "SimilarAnswer": {"hits": [{**_HIT, "relevance": None, "best_sentence": None}]},
    "OutcomeOut": _OUTCOME,
    "Outcomes": {"articles": [_OUTCOME]},
    "ReadOut": {
        "articles": [_OUTCOME],
        "skipped": [{"where": "https://example.org/news/storm", "reason": "is there already and has not changed"}],
        "refused": [{"where": "https://example.org/news/map.png", "reason": "a picture has no text"}],
    },
    "ArticleOut": {**_KEPT, "passages": [_SPAN]},
    "ArticlesPage": {"articles": [_KEPT], "next": "dhaka-flood"},
    "PassageOut": {**_SPAN, "article_id": "dhaka-flood", "text": _TEXT, **_ABOUT},
    "QuestionOut": _QUESTION,
    "QuestionsOut": {"questions": [_QUESTION]},
    "MatchesOut": {
        "matches": [
            {
                "number": 1,
                "id": "m-7c21e0",
                "found_at": "2023-05-06T12:30:00+00:00",
                "article_id": "dhaka-flood",
                "passage_id": _PASSAGE_ID,
                "text": _TEXT,
                "start": 0,
                "end": 41,
                "relevance": 0.9312,
                "similarity": 0.604118,
                **{name: _ABOUT[name] for name in ("title", "language", "url", "source", "published_at")},
            }
        ]
    },
    "StatusOut": {
        "version": "0.1.0",
        "model": "intfloat/multilingual-e5-small",
        "articles": 2,
        "passages": 11,
        "languages": {"bn": 1, "hi": 1},
    },
    "Embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0481, -0.0193, 0.0307]}],
        "model": "intfloat/multilingual-e5-small",
        "usage": {"prompt_tokens": 12, "total_tokens": 12},
    },
    "Reranking": {
        "id": "5f6c1b7e-3c0e-4c6e-9a55-0a6cf3a1d2b4",
        "results": [{"index": 1, "relevance_score": 0.985, "document": {"text": "বন্যায় সেতু ভেসে গেছে"}}],
        "model": "intfloat/multilingual-e5-small",
        "scores": "relevance",
        "meta": {"api_version": {"version": "1"}, "tokens": {"input_tokens": 42}},
    },
    "Problem": {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "/languages/0: 'klingon' is not a language; give an ISO 639 code such as bn",
        "instance": "/v1/search",
        "errors": [{"pointer": "/languages/0", "detail": "'klingon' is not a language"}],
    },
}

# A value of each parameter, and what it means where the route does not say; by its name, or the operation's and its.
PARAMETERS: Mapping[str, tuple[Any, str]] = {
    "article_id": ("dhaka-flood", "the article's id"),
    "passage_id": (_PASSAGE_ID, "the passage's id, as a search gives it"),
    "question_id": ("q-3f9a1c", "the question's id"),
    "q": ("Which aircraft plant did Kim visit?", "the question"),
    "limit": (10, "how many, 1 to 100"),
    "language": (["bn", "hi"], "only these languages"),
    "cursor": ("bz4xMA", "`next_cursor` of the page before"),
    "after": ("dhaka-flood", "`next` of the page before"),
    "question_matches.after": (0, "the number of the last match that is known"),
    "filter": ('{"source": "example"}', "a filter as in a search, in JSON"),
    "mode": ("hybrid", "`hybrid`, `dense`, `lexical` or `raw`"),
    "min_relevance": (0.5, "leaves out what is less likely to answer, 0 to 1"),
    "query_language": ("en", "the question's language; detected where absent"),
    "explain": (True, "tell of each hit why it matched"),
    "facets": (True, "count what is searched, by language, source and year"),
    "group": ("story", "`none`, `article` or `story`"),
    "rerank": (False, "whether the re-ranker puts the page in order"),
    "same_language": (True, "passages in its own language too"),
    "name": ("report.pdf", "the file's name, which tells its format"),
    "source": ("example", "who published them"),
}
