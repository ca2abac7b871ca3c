"""The audit log: who wrote what and when, a JSON line for each request that wrote."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool

log = logging.getLogger("dragoman")


@dataclass(frozen=True, slots=True)
class Audit:
    """An append-only file, or none. The processes of a service may share it: a line is written at once."""

    path: Path | None

    async def tell(self, request: Request, done: Sequence[tuple[str, str]]) -> None:
        """Append what was done: pairs of an article's id and the action. What cannot be kept is logged instead.

        The write is durable in the library by now, so a full disk here does not turn it into an error.
        """
        if self.path is None:
            return
        line = json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "key": getattr(request.state, "caller", None),
                "address": request.client.host if request.client else None,
                "request_id": request.state.request_id,
                "method": request.method,
                "articles": [{"id": article_id, "action": action} for article_id, action in done],
            },
            ensure_ascii=False,
        )
        await run_in_threadpool(self._append, self.path, line)

    def _append(self, path: Path, line: str) -> None:
        try:
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(number, line.encode(errors="replace") + b"\n")
            finally:
                os.close(number)
        except OSError as error:
            log.error("the audit log %s cannot be written (%s): %s", path, error.strerror, line)
