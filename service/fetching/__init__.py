"""Addresses to articles: fetched from public hosts alone, politely, and within limits."""

from service.fetching.fetcher import Fetched, Fetcher
from service.fetching.visits import Visits
from service.fetching.web import Web

__all__ = ["Fetched", "Fetcher", "Visits", "Web"]
