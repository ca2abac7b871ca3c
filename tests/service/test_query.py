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


WRITTEN = st.text(st.sampled_from('ab é한ক "“”„«»「」-−. \t'), max_size=40) | st.text(max_size=100)


@given(WRITTEN)
def test_it_is_known_where_each_character_was_written(written: str) -> None:
    """What is asked is some of what was written, in its order."""
    query = Query.read(written)

    assert len(query.places) == len(query.text)
    asked = [place for place, character in zip(query.places, query.text, strict=True) if not character.isspace()]
    assert asked == sorted(set(asked))
    assert [written[place] for place in asked] == [character for character in query.text if not character.isspace()]


def test_an_excluded_word_is_not_taken_for_the_same_word_asked_for() -> None:
    """Places are those of the words that are left."""
    query = Query.read('-rain "heavy rain" in Spain')

    assert query.text == "heavy rain in Spain"
    assert query.places[6:10] == (13, 14, 15, 16)


@given(st.text(max_size=200))
def test_anything_can_be_written(written: str) -> None:
    """Whatever is written, something is left to ask if there was something."""
    query = Query.read(written)

    assert bool(query.text.strip()) or not written.strip() or query.phrases
