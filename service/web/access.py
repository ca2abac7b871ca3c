"""Who may ask what: the scope that each route needs, and the key of a request."""

import math
from collections.abc import Mapping

from fastapi import Request

from service.keys import Key, Scope
from service.web.problems import Malformed
from service.web.state import State

# What each route needs, by method and template; None for no key.
# `/docs` and `/openapi.json` are open beside them. A route that is not here needs admin.
REQUIRED: Mapping[tuple[str, str], Scope | None] = {
    ("GET", "/"): None,
    ("GET", "/livez"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): "read",
    ("GET", "/v1/status"): "read",
    ("GET", "/v1/search"): "read",
    ("POST", "/v1/search"): "read",
    ("GET", "/v1/articles"): "read",
    ("GET", "/v1/articles/{article_id}"): "read",
    ("GET", "/v1/passages/{passage_id}"): "read",
    ("GET", "/v1/passages/{passage_id}/similar"): "read",
    ("POST", "/v1/passages/{passage_id}/similar"): "read",
    ("POST", "/v1/embeddings"): "read",
    ("POST", "/v1/rerank"): "read",
    ("GET", "/v1/questions"): "read",
    ("GET", "/v1/questions/{question_id}"): "read",
    ("GET", "/v1/questions/{question_id}/matches"): "read",
    ("GET", "/v1/questions/{question_id}/feed"): "read",
    ("POST", "/v1/questions"): "write",
    ("DELETE", "/v1/questions/{question_id}"): "write",
    ("POST", "/v1/articles"): "write",
    ("POST", "/v1/files"): "write",
    ("POST", "/v1/fetch"): "write",
    ("PUT", "/v1/articles/{article_id}"): "write",
    ("DELETE", "/v1/articles/{article_id}"): "write",
}


def needed(method: str, template: str) -> Scope | None:
    """Return the scope that a route needs, or None where it needs no key."""
    return REQUIRED.get((method, template.replace(":path}", "}")), "admin")


def admit(request: Request, shared: State, scope: Scope | None) -> None:
    """Let in a request that needs `scope`.

    Raises Malformed: 401 without a right key, 403 without the scope, 429 where too many came.
    """
    if scope is None:
        return
    address = f"address {request.client.host if request.client else 'unknown'}"
    if not shared.settings.needs_key:
        _count(shared, address)
        return
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    key = shared.keys.find(secret.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        _count(shared, address)
        refused = Malformed(401, "A right API key is needed, as `Authorization: Bearer KEY`.")
        refused.headers = {"WWW-Authenticate": 'Bearer realm="dragoman"'}
        raise refused
    request.state.caller = key.name
    _count(shared, f"key {key.name}")
    if not key.allows(scope):
        raise _beyond(key, scope)


def _beyond(key: Key, scope: Scope) -> Malformed:
    refused = Malformed(403, f"The key {key.name!r} has the scope {key.scope}; this needs {scope}.")
    refused.headers = {"WWW-Authenticate": f'Bearer realm="dragoman", error="insufficient_scope", scope="{scope}"'}
    return refused


def _count(shared: State, caller: str) -> None:
    """Count a request of a caller; raises Malformed (429) where too many came."""
    seconds = shared.rate.wait(caller)
    if seconds:
        limit = shared.settings.rate_limit
        refused = Malformed(429, f"Over {limit:,} requests a minute (DRAGOMAN_RATE_LIMIT); come again later.")
        refused.headers = {"Retry-After": str(math.ceil(seconds))}
        raise refused
