"""A library in Milvus, for what outgrows one machine: the same searches over the same evidence, shared by many.

`server` speaks to Milvus, `expressions` turns filters into its words, `ledger` says what is committed, `catalogue`
reads passages as of one moment, `following` keeps the words and sounds, and `library` puts them together.
"""

from index.milvus.library import MilvusLibrary, Place

__all__ = ["MilvusLibrary", "Place"]
