"""A library in Milvus, for what outgrows one machine: the same searches over the same evidence, shared by many.

`server` speaks to Milvus, `expressions` turns filters into its words, `ledger` says what is committed, `catalogue`
reads passages as of one moment, `served` ranks by words and sounds in Milvus, if it does so in `trial`, and
`following` in the process, and `library` puts all together.
"""

from index.milvus.library import MilvusLibrary, Place

__all__ = ["MilvusLibrary", "Place"]
