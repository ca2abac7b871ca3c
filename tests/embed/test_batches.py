from embed.backends.batches import by_length


def test_a_batch_holds_so_many_tokens_and_texts_longest_first() -> None:
    """Of 5 texts of at most 32 tokens, two of 32 fill a batch of 64; no batch has more than two."""
    assert by_length([8, 32, 16, 32, 8], 64, 2) == [[1, 3], [2, 0], [4]]


def test_a_text_over_the_tokens_of_a_batch_is_one_by_itself() -> None:
    """Nothing is left out."""
    assert by_length([8, 500], 64, 4) == [[1], [0]]


def test_a_batch_ends_where_padding_would_cost_more_than_another() -> None:
    """Three texts of 8 beside one of 40 are 96 tokens of padding; one text of 24 would be 16, which is less than 25."""
    assert by_length([8, 8, 40, 8], 512, 64, 25) == [[2], [0, 1, 3]]
    assert by_length([24, 40], 512, 64, 25) == [[1, 0]]
    assert by_length([8, 8, 40, 8], 512, 64) == [[2, 0, 1, 3]]
