"""`/docs`: the API's reference, drawn by Swagger UI from files of our own; no third party is asked."""

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#reference", deepLinking: true, syntaxHighlight: false,
  presets: [SwaggerUIBundle.presets.apis],
});"""
HTML = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Dragoman: HTTP API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="reference"></div><script src="docs/swagger-ui-bundle.js"></script><script>{SCRIPT}</script></body></html>
"""
# React sets styles on elements as it draws them; nothing that is searched is shown here.
POLICY = (
    "default-src 'none'; script-src 'self' "
    f"'sha256-{b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def reference() -> HTMLResponse:
    """Return the page of the reference."""
    return HTMLResponse(HTML, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/swagger-ui-bundle.js")
def script() -> Response:
    """Return Swagger UI's script."""
    return Response(_file("swagger-ui-bundle.js"), media_type="text/javascript")


@router.get("/docs/swagger-ui.css")
def style() -> Response:
    """Return Swagger UI's style."""
    return Response(_file("swagger-ui.css"), media_type="text/css")


@cache
def _file(name: str) -> bytes:
    return (files("fastapi_swagger") / "resources" / name).read_bytes()
