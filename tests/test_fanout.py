"""The simulation of searches that are shared out gives what is known of such systems."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.fanout import Plan, simulate


def exponential(chance: np.random.Generator) -> float:
    """Draw seconds of mean 1."""
    return float(chance.exponential(1.0))


def seldom_slow(chance: np.random.Generator) -> float:
    """Draw one second in ten cases of a hundred, and else next to nothing."""
    return 1.0 if chance.random() < 0.1 else 0.001


def test_one_server_is_an_mm1_queue() -> None:
    """At half its load a server with exponential times of mean 1 answers after 1 / (1 - 0.5) = 2 on the mean."""
    assert simulate(Plan(rate=0.5), exponential, 15_000).mean() == pytest.approx(2.0, rel=0.1)


def test_the_last_of_many_shards_is_a_harmonic_number() -> None:
    """The longest of ten exponential times of mean 1 is 1 + 1/2 + ... + 1/10 on the mean."""
    assert simulate(Plan(shards=10), exponential, 2_000).mean() == pytest.approx(2.929, rel=0.05)


def test_shards_that_share_a_core_take_turns() -> None:
    """Four shards on two cores, a second each, take two seconds; on one core, four."""
    took = [simulate(Plan(shards=4, cores=cores), lambda _: 1.0, 5) for cores in (2, 1)]
    assert [set(each) for each in took] == [{2.0}, {4.0}]


def test_what_is_seldom_for_one_is_usual_for_many() -> None:
    """Of 20 shards that are slow one time in ten, at least one is in 1 - 0.9^20 of the requests, 88 in 100."""
    slow = simulate(Plan(shards=20), seldom_slow, 1_500) >= 1.0
    assert slow.mean() == pytest.approx(1 - 0.9**20, abs=0.03)


def test_asking_again_leaves_who_is_slow_twice() -> None:
    """With a second replica asked after 10 ms who is slow is slow twice: 1 - 0.99^20 of the requests, 18 in 100."""
    slow = simulate(Plan(shards=20, replicas=2, rate=0.05, hedge=0.01), seldom_slow, 1_500) >= 1.0
    assert slow.mean() == pytest.approx(1 - 0.99**20, abs=0.03)


def test_slow_servers_are_so_many_and_so_slow() -> None:
    """Where a quarter of the servers takes four times as long, every request over all of them does."""
    assert set(simulate(Plan(shards=8, slow=0.25, factor=4.0), lambda _: 1.0, 5)) == {4.0}
    assert set(simulate(Plan(shards=8, slow=0.0, factor=4.0), lambda _: 1.0, 5)) == {1.0}


def test_a_seed_says_all() -> None:
    """The same seed gives the same times, another others."""
    one, same, other = (simulate(Plan(shards=2, rate=0.5), exponential, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_page_on_scale_shows_what_is_computed() -> None:
    """The tables of the page are those that the script prints, of inputs in the results or with another source."""
    page = Path(__file__).parent.parent / "docs" / "scale.md"
    assert scale.tables() in page.read_text(encoding="utf-8")


def test_figures_of_scale_by_hand() -> None:
    """A billion passages of 127 bytes are 127 GB; 84.4 a second on two cores take 6,582 core hours."""
    assert scale.ROWS["memory of our own index, GB"][1](1_000_000_000) == "127"
    assert scale.ROWS["encoding and adding, core hours"][1](1_000_000_000) == "6,582"
    assert scale.ROWS["machines of 64 GB for that"][1](100_000_000) == "8"
    assert scale.shards(1_000_001) == 2
    assert scale.slowest(1) == pytest.approx(1.0)
