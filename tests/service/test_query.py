import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.query import Query


@pytest.mark.parametrize(
    ("written", "text", "phrases", "without"),
    [
        ("trade with Belarus", "trade with Belarus", (), ()),
        ('who said "five packages" first?', "who said  five packages  first?", ("five packages",), ()),
        ("„Kim Jong Un“ visit", "Kim Jong Un  visit", ("Kim Jong Un",), ()),
        ("«Путин» “Kim” 「金」", "Путин   Kim   金", ("Путин", "Kim", "金"), ()),
        ("sanctions -Russia", "sanctions", (), ("Russia",)),
        ("निर्यात -रूस", "निर्यात", (), ("रूस",)),
        ("nuclear-capable bombers, minus -5 degrees", "nuclear-capable bombers, minus -5 degrees", (), ()),
        ("-only", "-only", (), ()),
        ('an "open quote', 'an "open quote', (), ()),
        ('""', '""', (), ()),
        ("it's Putin's", "it's Putin's", (), ()),
    ],
)
def test_what_is_written_is_understood(
    written: str, text: str, phrases: tuple[str, ...], without: tuple[str, ...]
) -> None:
    """Quoted phrases must occur and are asked for too; a word after a lone minus must not occur."""
    query = Query.read(written)

    assert (" ".join(query.text.split()), query.phrases, query.without) == (" ".join(text.split()), phrases, without)


@given(st.text(max_size=200))
def test_anything_can_be_written(written: str) -> None:
    """Whatever is written, something is left to ask if there was something."""
    query = Query.read(written)

    assert bool(query.text.strip()) or not written.strip() or query.phrases
