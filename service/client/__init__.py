"""A client of the HTTP API, sync and async: small to import, and with the same verbs as the command line.

`calls` says what is sent for each verb and how its answer is read; `connections` sends it, and nothing else does.
"""

from service.client.connections import AsyncClient, Client
from service.client.results import SearchResult
from service.client.retries import Retries

__all__ = ["AsyncClient", "Client", "Retries", "SearchResult"]
