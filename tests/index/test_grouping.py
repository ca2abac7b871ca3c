import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from index import Article, Group, Hit, InvalidCursor, Library, Mode, Page, parse_filter
from index.grouping import FURTHER, GROUPED
from tests.index.samples import article, open_library, passages, units

# So many directions that vectors of chance are far from each other, as those of models are.
WIDE = 128


@pytest.fixture
def numbers(folder: Path) -> Iterator[Library]:
    """An empty library of a model nobody knows, without token vectors."""
    with open_library(folder, dim=WIDE) as library:
        yield library


def asked(
    library: Library,
    group: Group,
    mode: Mode = "hybrid",
    limit: int = 5,
    cursor: str | None = None,
    text: str = "water",
) -> Page:
    """Return a page of groups."""
    return library.search(units(7, 1, WIDE)[0], {}, text=text, mode=mode, limit=limit, cursor=cursor, group=group)


def all_of(library: Library, group: Group, mode: Mode = "hybrid", limit: int = 5) -> list[Hit]:
    """Return the hits of all pages."""
    page = asked(library, group, mode, limit)
    hits = page.hits
    while page.next_cursor:
        page = asked(library, group, mode, limit, page.next_cursor)
        hits += page.hits
    return hits


def put(library: Library, written: Article) -> None:
    """Add an article whose passages have vectors by chance."""
    cuts = passages(written)
    seed = int.from_bytes(hashlib.sha256(written.text.encode()).digest()[:4], "little")
    vectors = units(seed, len(cuts), WIDE)
    library.add(written, cuts, {place: vectors[place] for place in library.missing(cuts)})


def copies(library: Library, name: str, seed: int, count: int) -> None:
    """Add articles that say the same."""
    for number in range(count):
        written = article(f"{name}{number}", f"water {name} {number}", language=("en", "bn", "hi")[number % 3])
        library.add(written, passages(written), {0: units(seed, 1, WIDE)[0]})


def test_an_article_is_one_hit_with_its_further_passages(numbers: Library) -> None:
    """Its best passage stands for it; the others come with it, best first, a few of them."""
    put(numbers, article("a", *(f"water in place {number}" for number in range(6))))
    put(numbers, article("b", "water alone"))

    plain = numbers.search(units(7, 1, WIDE)[0], {}, text="water", mode="hybrid").hits
    grouped = asked(numbers, "article").hits

    assert sorted(hit.article.id for hit in grouped) == ["a", "b"]
    for hit in grouped:
        own = [each.passage.text for each in plain if each.article.id == hit.article.id]
        assert [hit.passage.text, *(each.passage.text for each in hit.passages)] == own[: 1 + FURTHER]
        assert not hit.sources
        assert {each.rank for each in hit.passages} <= {hit.rank}


def test_articles_that_say_the_same_are_one_story_with_all_its_sources(numbers: Library) -> None:
    """Whatever their languages; an article that says another thing is another story."""
    copies(numbers, "flood", 1, 4)
    copies(numbers, "fire", 2, 2)
    for number in range(40):
        put(numbers, article(f"other{number}", f"water {number}"))

    stories = {
        frozenset([hit.article.id, *(each.article.id for each in hit.sources)]) for hit in all_of(numbers, "story")
    }

    assert {"flood0", "flood1", "flood2", "flood3"} in stories
    assert {"fire0", "fire1"} in stories
    assert len(stories) == 42


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical", "raw"])
@pytest.mark.parametrize("group", ["article", "story"])
def test_pages_of_groups_neither_repeat_nor_skip_while_articles_are_added(
    numbers: Library, group: Group, mode: Mode
) -> None:
    """More passages than are grouped at once; between pages articles come, and one that was not yet shown goes."""
    count = 60 if mode == "lexical" else 110
    for number in range(count):
        put(numbers, article(f"a{number}", *(f"water {number} {place}" for place in range(1 + number % 4))))
    copies(numbers, "same", 3, 5)
    there = {f"a{number}" for number in range(count)} | {f"same{number}" for number in range(5)}
    seen: list[str] = []
    ranks: list[int] = []
    page = asked(numbers, group, mode, 7)
    for turn in range(100):
        ranks += [hit.rank for hit in page.hits]
        for hit in page.hits:
            assert {each.article.id for each in hit.passages} <= {hit.article.id}
            seen += [hit.article.id, *(each.article.id for each in hit.sources)]
        if page.next_cursor is None:
            break
        put(numbers, article(f"new{turn}", f"water new {turn}", f"water newer {turn}"))
        if turn == 2:
            gone = min(there - set(seen))
            numbers.delete(gone)
            there.remove(gone)
        page = asked(numbers, group, mode, 7, page.next_cursor)
    assert page.next_cursor is None
    assert len(seen) == len(set(seen))
    assert there <= set(seen) or mode == "lexical"
    assert ranks == list(range(1, len(ranks) + 1))
    if mode != "lexical":
        assert sum(1 + number % 4 for number in range(count)) > GROUPED


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=some.lists(some.integers(1, 4), min_size=1, max_size=30),
    seeds=some.randoms(use_true_random=False),
    group=some.sampled_from(["article", "story"]),
    limit=some.integers(1, 9),
)
def test_groups_part_what_is_found(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seeds: object, group: Group, limit: int
) -> None:
    """Every article is in one group, once, and a group is led by its best hit; groups come in the order of these."""
    with open_library(tmp_path_factory.mktemp("parted") / "library", dim=WIDE) as library:
        for number, size in enumerate(sizes):
            written = article(f"a{number}", *(f"water {number} {place}" for place in range(size)))
            same = seeds.randrange(3)  # type: ignore[attr-defined]
            library.add(written, passages(written), {place: units(same, 4, WIDE)[place] for place in range(size)})
        order = [
            hit.row for hit in library.search(units(7, 1, WIDE)[0], {}, text="water", mode="hybrid", limit=100).hits
        ]
        hits = all_of(library, group, limit=limit)

    articles = [each.article.id for hit in hits for each in (hit, *hit.sources)]
    assert sorted(articles) == sorted(f"a{number}" for number in range(len(sizes)))
    leads = [order.index(hit.row) for hit in hits if hit.row in order]
    assert leads == sorted(leads)
    for hit in hits:
        inside = [order.index(each.row) for each in hit.inner() if each.row in order]
        assert hit.row not in order or all(order.index(hit.row) < place for place in inside)


def test_a_cursor_is_of_its_grouping_only(numbers: Library) -> None:
    """The cursor of one grouping is refused by another."""
    for number in range(12):
        put(numbers, article(f"a{number}", f"water {number}"))
    cursor = asked(numbers, "article").next_cursor

    assert cursor is not None
    groups: tuple[Group, ...] = ("none", "story")
    for group in groups:
        with pytest.raises(InvalidCursor):
            asked(numbers, group, cursor=cursor)


def test_a_filter_holds_for_all_of_a_group(numbers: Library) -> None:
    """What is filtered out comes neither as a hit nor under one."""
    copies(numbers, "flood", 1, 6)
    for number in range(60):
        put(numbers, article(f"other{number}", f"earth {number}", language="bn"))
    where = parse_filter(None, ["bn"])

    hits = numbers.search(
        units(7, 1, WIDE)[0], {}, text="water", mode="hybrid", where=where, group="story", limit=100
    ).hits

    assert {each.article.language for hit in hits for each in (hit, *hit.inner())} == {"bn"}
    assert [len(hit.sources) for hit in hits if hit.article.id.startswith("flood")] == [1]
