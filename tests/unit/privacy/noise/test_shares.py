"""A noise in shares: so many honest ones make the whole, and how far the sum is from a discrete Gaussian."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from huizhen.privacy.noise import DiscreteGaussian, Shares
from huizhen.privacy.noise.lattice import ripple, ripple_of_sum

REACH = 120


def seeded(seed):
    return np.random.Generator(np.random.Philox(seed)).bytes


def pmf(variance):
    mass = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * variance))
    return mass / mass.sum()


def law_of_sum(variance, shares):
    law = pmf(variance)
    for _ in range(shares - 1):
        law = np.convolve(law, pmf(variance))[REACH:-REACH]
    return law


@pytest.mark.parametrize(("variance", "shares"), [(0.5, 2), (0.5, 5), (0.7, 3), (1.0, 4)])
def test_the_sum_of_shares_stays_within_the_ripple_of_a_discrete_gaussian(variance, shares):
    near = np.abs(np.arange(-REACH, REACH + 1)) <= 6 * math.sqrt(variance * shares)
    away = np.abs(np.log(law_of_sum(variance, shares)[near] / pmf(variance * shares)[near])).max()
    bound = ripple_of_sum(variance, shares)
    assert bound / 100 < away <= bound
    literature = 10 * sum(math.exp(-2 * math.pi**2 * variance * k / (k + 1)) for k in range(1, shares))  # KLS, theorem 1
    assert bound <= literature


@pytest.mark.parametrize("v", [0.2, 0.35, 0.6])
def test_a_discrete_gaussian_is_a_continuous_one_rounded_at_random_within_the_ripple(v):
    """Continuous of variance v / 20, then discrete of variance v around the outcome; integrated numerically."""
    z = np.linspace(-3, 3, 6_001)
    k = np.arange(-12, 13)
    kernel = np.exp(-((k[:, None] - z) ** 2) / (2 * v))
    law = (kernel / kernel.sum(axis=0) * np.exp(-(z**2) / (2 * v / 20))).sum(axis=1)
    whole = pmf(v * 1.05)[k + REACH]
    near = np.abs(k) <= 3
    away = np.abs(np.log(law[near] / law.sum() / whole[near])).max()
    assert ripple(v) / 20 < away <= ripple(v)


@given(st.floats(0.05, 5))
def test_more_variance_never_ripples_more(variance):
    assert ripple(variance * 1.1) <= ripple(variance)


@given(st.floats(0.5, 5), st.integers(1, 200))
def test_more_shares_never_ripple_less(variance, shares):
    assert ripple_of_sum(variance, shares) <= ripple_of_sum(variance, shares + 1)


def test_many_shares_ripple_as_the_sum_of_all_terms():
    terms = math.fsum(ripple(0.6 * k / (k + 1)) for k in range(1, 500))
    assert terms <= ripple_of_sum(0.6, 500) < terms * 1.1


@pytest.mark.parametrize("honest", [1, 3, 4])
def test_honest_shares_sum_to_the_joint_noise(honest):
    shares = Shares(Fraction(36), honest)
    drawn = sum(shares.draw(200_000, seeded(100 + site)) for site in range(honest))
    k = np.arange(-18, 19)
    law = pmf(36.0)[k + REACH]
    tail = (1 - law.sum()) / 2
    expected = np.concatenate([[tail], law, [tail]]) * drawn.size
    found = np.bincount(np.clip(drawn, -19, 19) + 19, minlength=39)
    assert chi2.sf(((found - expected) ** 2 / expected).sum(), 38) > 1e-4


def test_sites_more_than_the_honest_ones_add_noise_on_top():
    shares = Shares(Fraction(36), honest=3)
    drawn = sum(shares.draw(200_000, seeded(site)) for site in range(5))
    assert drawn.var() == pytest.approx(60, rel=0.02)  # 5 shares of 36 / 3


def test_shares_of_a_noise_are_discrete_gaussians_and_add_up_exactly():
    shares = Shares(Fraction(100), honest=7)
    assert shares.share == DiscreteGaussian(Fraction(100, 7))
    assert shares.ripple < 1e-50
    assert Shares(3.5, 7).ripple == ripple_of_sum(0.5, 7) > 0.04


@pytest.mark.parametrize(("variance", "honest"), [(10, 0), (1.9, 4), (math.nan, 1)])
def test_shares_of_which_nothing_is_proved_are_refused(variance, honest):
    with pytest.raises(ValueError, match="finer grid"):
        Shares(variance, honest)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 50))
def test_the_order_in_which_shares_are_added_does_not_matter(sites, entries):
    shares = Shares(Fraction(20 * sites), sites)
    drawn = [shares.draw(entries, seeded(site)) for site in range(sites)]
    assert np.array_equal(sum(drawn), sum(reversed(drawn)))
