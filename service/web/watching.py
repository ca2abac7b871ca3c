"""Standing questions in a running service: new articles are held against them, and webhooks told, beside the requests.

Every process of the service looks now and then, whoever wrote the articles; the locks of the book see to it that one of
them does what there is to do.
"""

import logging
import threading
from collections.abc import Callable

from index import generations
from service.engine import Engine
from service.priority import yielding
from service.questions import Book, Matcher, Webhooks
from service.settings import Settings
from service.web.current import Current

# How often it is looked whether something came, in seconds.
LOOK = 2.0

log = logging.getLogger("dragoman")


class Watch:
    """Two threads, one that matches and one that posts, from when it is made until it is stopped."""

    def __init__(self, settings: Settings, current: Current) -> None:
        self._data = settings.data
        self._current = current
        self._book = Book(settings.data)
        self._webhooks = Webhooks(self._book, private_hosts=frozenset(settings.private_hosts))
        self._matcher: tuple[Engine | None, Matcher | None] = (None, None)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._again, args=(work,), name=name, daemon=True)
            for name, work in (("matching", self._match), ("webhooks", self._post))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after what is under way; a post takes some seconds at most."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10.0)

    def _again(self, work: Callable[[], None]) -> None:
        yielding()
        said = ""
        while not self._stopping.wait(LOOK):
            try:
                if self._book.exists:
                    work()
                said = ""
            except Exception as error:
                if said != str(error):  # once, and not every time that it is looked
                    log.warning("standing questions: %s", error)
                said = str(error)

    def _match(self) -> None:
        with self._current.in_use():
            engine = self._current.engine
            if engine is None or engine.library.folder not in (None, generations.folder(self._data)):
                return
            if self._matcher[0] is not engine:
                self._matcher = engine, Matcher(engine, self._book)
            assert self._matcher[1] is not None
            self._matcher[1].run()

    def _post(self) -> None:
        self._webhooks.run()
