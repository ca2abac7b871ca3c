"""The search page: its files as they are, and the policy under which a browser runs nothing else."""

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "page"

# Scripts, styles and requests of this host alone, none of them inline; and no text becomes markup, whatever an article
# says (Trusted Types, https://w3c.github.io/trusted-types/).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# A browser asks whether a file has changed before it takes the one it has: all are of one version.
CACHING = {"Cache-Control": "no-cache"}


class PageFiles(StaticFiles):
    """The files that the page asks for; open to all, for nothing of the library is in them."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; raises HTTPException: 404, 405."""
        answer = await super().get_response(path, scope)
        answer.headers.update(CACHING)
        return answer


def page() -> Response:
    """Return the page."""
    return FileResponse(FOLDER / "index.html", headers={"Content-Security-Policy": POLICY, **CACHING})
