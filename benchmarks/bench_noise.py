"""What exact noise costs beside the noise of a numerical library, in one run; and what an account costs.

Bar: 1,000,000 discrete Gaussian draws from the operating system's secure source take at most a second of processor time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from huizhen.privacy.accounting import DiscreteGaussianEvent, GaussianEvent, PoissonSampledEvent, SelfComposedEvent, epsilon
from huizhen.privacy.noise import DiscreteGaussian, DiscreteLaplace, Grid, clip_l2

DRAWS = 1_000_000


def seconds(work: Callable[[], Any]) -> float:
    work()
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def test_exact_noise_takes_at_most_a_second_for_a_million_draws():
    rng = np.random.default_rng(1)
    plain = seconds(lambda: rng.normal(size=DRAWS))
    print(f"\nnumpy's normal, not secure, not exact: {plain * 1e3:.0f} ms")
    for sigma in (1.0, 8.0, 1024.0, 2.0**30):
        taken = seconds(lambda sigma=sigma: DiscreteGaussian.of_sigma(sigma).draw(DRAWS, os.urandom))
        print(f"discrete Gaussian, sigma {sigma:g}: {taken * 1e3:.0f} ms, {taken / plain:.1f} times that")
        assert taken < 1
    for scale in (1.0, 1024.0):
        taken = seconds(lambda scale=scale: DiscreteLaplace(scale).draw(DRAWS, os.urandom))
        print(f"discrete Laplace, scale {scale:g}: {taken * 1e3:.0f} ms")
        assert taken < 1


def test_an_update_is_clipped_and_made_noisy():
    update = np.random.default_rng(2).normal(size=DRAWS).astype(np.float32)
    grid = Grid.finer_than(3.0)
    noise = grid.gaussian(3.0)
    clipping = seconds(lambda: clip_l2(update, 1.0))
    both = seconds(lambda: grid.noisy(clip_l2(update, 1.0).values, noise, os.urandom))
    print(f"\nclip to a norm: {clipping * 1e3:.1f} ms; clip, to the grid, noise: {both * 1e3:.0f} ms")


def test_an_account_takes_a_moment():
    epsilon([GaussianEvent(1.0)], 1e-5)
    for name, event in (
        ("100 Gaussians", SelfComposedEvent(GaussianEvent(6.0), 100)),
        ("100 vectors of shares", SelfComposedEvent(DiscreteGaussianEvent(6144.0, 1024.0, DRAWS, 5), 100)),
        ("10,000 steps on samples of 1 %", SelfComposedEvent(PoissonSampledEvent(0.01, GaussianEvent(1.1)), 10_000)),
    ):
        taken = seconds(lambda event=event: epsilon([event], 1e-5))
        print(f"epsilon of {name}: {epsilon([event], 1e-5).pld:.3f} in {taken * 1e3:.0f} ms")
