"""The split: shares hold, users stay, and a new split moves no more of them than it must."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from irisab.serving.split import Split

REQUESTS = 10_000
USERS = [f"user-{number}" for number in range(REQUESTS)]
SHARES = [
    {"v1": 50, "v2": 50},
    {"v1": 90, "v2": 10},
    {"v1": 0, "v2": 100},
    {"v1": 33, "v2": 33, "v3": 34},
    {"v1": 99.99, "v2": 0.01},
]
names = st.text("abcv123", min_size=1, max_size=3)
weights = st.dictionaries(names, st.integers(0, 100), min_size=1).filter(lambda w: any(w.values()))
users = st.text(min_size=1, max_size=12)


def split(shares: Mapping[str, float], *, salt: str = "experiment", seed: int = 0) -> Split:
    return Split(shares, salt=salt, draw=random.Random(seed).random)


def assert_shares_hold(counts: Counter[str], shares: Mapping[str, float]) -> None:
    assert sum(counts.values()) == REQUESTS
    for version, share in shares.items():
        low, high = binom.interval(0.9999, REQUESTS, share / 100)
        assert low <= counts[version] <= high, version


@pytest.mark.parametrize("shares", SHARES, ids=str)
def test_requests_are_split_as_configured(shares: Mapping[str, float]) -> None:
    """10,000 requests without a user are within the 99.99 % binomial interval."""
    found = split(shares)
    assert_shares_hold(Counter(found.choose() for _ in range(REQUESTS)), shares)


@pytest.mark.parametrize("shares", SHARES, ids=str)
def test_users_are_split_as_configured(shares: Mapping[str, float]) -> None:
    """So are 10,000 users."""
    assert_shares_hold(Counter(map(split(shares).choose, USERS)), shares)


def test_a_new_split_moves_only_the_users_it_must() -> None:
    """From 90/10 to 70/30 about 20 % of the users move, and none the wrong way."""
    before, after = split({"v1": 90, "v2": 10}), split({"v1": 70, "v2": 30})
    moves = Counter((before.choose(user), after.choose(user)) for user in USERS)
    low, high = binom.interval(0.9999, REQUESTS, 0.2)
    assert low <= moves["v1", "v2"] <= high
    assert moves["v2", "v1"] == 0


@given(weights, users, st.data())
def test_a_version_that_grows_only_wins_users(
    shares: dict[str, int], user: str, data: st.DataObject
) -> None:
    """Whatever the split: raising one version's share sends nobody to another version."""
    grown = data.draw(st.sampled_from(sorted(shares)))
    before = split(shares).choose(user)
    after = split(shares | {grown: shares[grown] + 7}).choose(user)
    assert after in (before, grown)


@given(weights, users)
def test_a_user_stays(shares: dict[str, int], user: str) -> None:
    """The same user gets the same version, from every process and in any order of lines."""
    chosen = split(shares).choose(user)
    backwards = dict(reversed(shares.items()))
    assert split(backwards, seed=1).choose(user) == chosen
    assert shares[chosen] > 0


@given(weights, st.integers())
def test_the_order_of_lines_is_irrelevant(shares: dict[str, int], seed: int) -> None:
    """Requests without a user do not depend on it either."""
    backwards = dict(reversed(shares.items()))
    one, other = split(shares, seed=seed), split(backwards, seed=seed)
    assert [one.choose() for _ in range(20)] == [other.choose() for _ in range(20)]


@given(weights, st.sampled_from([0.0, 0.5, 1 - 2**-53]))
def test_each_draw_finds_a_version_with_traffic(shares: dict[str, int], draw: float) -> None:
    """The ends of [0, 1) are no exception, and a version at 0 is never chosen."""
    assert shares[Split(shares, salt="", draw=lambda: draw).choose()] > 0


def test_another_experiment_deals_its_users_anew() -> None:
    """Who was in v2 before is no more likely to be in it again than anybody else."""
    shares = {"v1": 50, "v2": 50}
    first, second = split(shares, salt="May"), split(shares, salt="June")
    same = sum(first.choose(user) == second.choose(user) for user in USERS)
    low, high = binom.interval(0.9999, REQUESTS, 0.5)
    assert low <= same <= high
