"""Logs as JSON lines, for programs that collect them."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from service.web.envelope import request_id


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, the request's id where there is one, the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            **getattr(record, "members", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


# As `logging.config.dictConfig` takes it: warnings of all, every request of ours.
JSON: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "service.web.logs.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {"dragoman": {"level": "INFO"}},
}
