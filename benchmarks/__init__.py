"""Scripts that measure; results.md keeps what they printed."""
