"""Webhooks: matches posted to an address, signed, until it has taken them.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com, specification 1.0), for which
there are libraries in most languages; so are the pauses between attempts. A match may come more than once, always with
the same id: what was taken just before a crash is posted again.
"""

import base64
import hashlib
import hmac
import json
import random
import secrets
import ssl
import time
from collections.abc import Callable

import httpcore2
import httpx2

from service.errors import FetchRefused
from service.fetching.addresses import SCHEMES, Resolve, checked, parse, system_resolve
from service.fetching.transport import Pinned
from service.questions.book import Book, Delivery

PREFIX = "whsec_"

# Seconds from a failure to the next attempt; after the last one the delivery has failed for good.
PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
# Up to so much longer, by chance, so that many that failed together do not come together.
SPREAD = 0.1

# The most seconds that one attempt may take.
SECONDS = 10.0


class Webhooks:
    """Posts what a book has due. Only public addresses are posted to, and of questions that were asked on the command
    line the `private_hosts`; redirects are not followed.
    """

    def __init__(
        self,
        book: Book,
        *,
        private_hosts: frozenset[str] = frozenset(),
        resolve: Resolve = system_resolve,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._private_hosts = private_hosts
        self._resolve = resolve
        self._clock = clock
        self._ssl: ssl.SSLContext | None = None

    def check(self, address: str, *, private: bool) -> str:
        """Return an address that may be posted to; raises FetchRefused for another."""
        hosts = self._private_hosts if private else frozenset()
        url = parse(address, hosts)
        checked(url.host, url.port or SCHEMES[url.scheme], self._resolve, hosts)
        return str(url)

    def run(self) -> tuple[int, int]:
        """Post what is due; return how many were taken and how many not. Where another does that, it is left to it."""
        taken, refused = 0, set[str]()
        failures = 0
        if not self._book.exists:
            return 0, 0
        with self._book.alone("delivering", 0.0) as mine:
            for each in self._book.due(self._clock()) if mine else ():
                # A host that does not answer is not asked again for every match that waits for it.
                error = "an earlier one was not taken" if each.question.id in refused else self._post(each)
                if error is None:
                    self._book.delivered(each)
                    taken += 1
                else:
                    refused.add(each.question.id)
                    failures += 1
                    self._book.failed(each, error, self._again(each.attempts))
        return taken, failures

    def _again(self, attempts: int) -> float | None:
        if attempts >= len(PAUSES):
            return None
        return self._clock() + PAUSES[attempts] * (1 + SPREAD * random.random())

    def _post(self, delivery: Delivery) -> str | None:
        """Post a match; return None where it was taken, and else why it was not."""
        question = delivery.question
        assert question.webhook is not None
        assert question.secret is not None
        hosts = self._private_hosts if question.private else frozenset()
        try:
            url = parse(question.webhook, hosts)
            content = body(delivery)
            moment = int(self._clock())
            headers = {
                "Host": url.netloc.decode("ascii"),
                "User-Agent": "Dragoman",
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                "webhook-id": delivery.match.id,
                "webhook-timestamp": str(moment),
                "webhook-signature": signature(question.secret, delivery.match.id, moment, content),
            }
            backend = Pinned(self._resolve, hosts, time.monotonic() + SECONDS)
            self._ssl = self._ssl or httpx2.create_ssl_context()
            with (
                httpcore2.ConnectionPool(ssl_context=self._ssl, network_backend=backend) as pool,
                pool.stream("POST", str(url), headers=list(headers.items()), content=content) as answer,
            ):
                return None if 200 <= answer.status < 300 else f"the answer was {answer.status}"
        except FetchRefused as error:
            return str(error)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            return f"no answer: {str(error) or type(error).__name__}"
        except (OSError, ValueError) as error:  # of one address, which is not to keep the others waiting
            return f"it cannot be posted to: {error}"


def new_secret() -> str:
    """Return a secret of 256 random bits, in the form of Standard Webhooks."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, identity: str, moment: int, content: bytes) -> str:
    """Return the signature of a message of an id, a time (seconds since 1970) and a body: `v1,` and base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{identity}.{moment}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def body(delivery: Delivery) -> bytes:
    """Return what is posted, as JSON."""
    match, question = delivery.match, delivery.question
    told = {
        "type": "question.matched",
        "timestamp": match.found_at,
        "data": {"question": {"id": question.id, "query": question.query}, "match": dict(match.told)},
    }
    return json.dumps(told, ensure_ascii=False).encode()
