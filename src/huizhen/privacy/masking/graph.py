"""Who masks with whom, and how many shares open a secret.

Up to 19 sites everybody masks with everybody (Bonawitz et al. 2017). From 20 on each has some neighbours only, in a regular graph
whose rim is drawn from all adverts, so that the work grows with the logarithm of the sites (Bell et al. 2020, section 3.2).

The threshold of m sites is two thirds of them, rounded down, plus one, and at least 3:

    sites      3  4  5  6  7  8  9  10
    threshold  3  3  4  5  5  6  7   7
    may fall silent   0  1  1  1  2  2  2   3

The hub may ask for a site's self mask *or* for its pair masks. To get both it has to show two lists of who stayed to two sets of
sites, each as large as the threshold t of all, and no honest site signs two lists: that takes 2t <= m + c with c sites in league
with it. With t > 2m/3 it needs more than a third of all sites (Bonawitz et al. 2017, section 6.2). With 3 sites all must stay: the
sum of two is no secret between them.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

__all__ = ["FEWEST", "degree", "neighbours", "threshold"]

FEWEST = 3  # sites of a masked sum
SPARSE_FROM = 20  # sites, from which on not all mask with all
CORRUPT, SILENT = 0.2, 0.1  # shares of the sites that may be in league with the hub, or fall silent, for the bounds below
SECURE, LASTING = 2.0**-40, 2.0**-20  # probabilities that some site's neighbours betray it, or that a round has to be repeated


def threshold(sites: int) -> int:
    """How many of so many sites open a secret, and must stay for a sum."""
    return max(2 * sites // 3 + 1, FEWEST)


@lru_cache(maxsize=256)
def degree(sites: int) -> int:
    """How many neighbours each of so many sites has; even, or all others.

    The smallest for which, with a fifth of the sites in league with the hub and a tenth silent, it is less probable than 2^-40 that
    the league among some site's neighbours holds a threshold of its shares, or that the honest sites that stay fall apart into
    groups whose sums would be seen (the rim broken in two places by half a degree of bad sites each), and less probable than 2^-20
    that too few neighbours of some site are left (hypergeometric tails, all sites together; cf. Bell et al. 2020, section 3.2,
    theorem 3.10).
    """
    if sites < SPARSE_FROM:
        return sites - 1
    from scipy.stats import hypergeom  # takes longer to load than all else that a study needs

    corrupt, silent = int(CORRUPT * sites), int(SILENT * sites)
    bad = corrupt + silent
    for size in range(4, sites - 1, 2):
        shares = threshold(size)
        betrayed = sites * float(hypergeom.sf(shares - 1, sites - 1, corrupt, size))
        repeated = sites * float(hypergeom.sf(size - shares, sites - 1, silent, size))
        broken = sites * float(hypergeom.sf(size // 2 - 1, sites, bad, size // 2))  # half a degree in a row, all of them bad
        if betrayed <= SECURE and broken**2 / 2 <= SECURE and repeated <= LASTING:
            return size
    return sites - 1


def neighbours(roster: tuple[str, ...], seed: bytes) -> dict[str, tuple[str, ...]]:
    """Each site's neighbours, in roster order; if b is a's neighbour, a is b's.

    Args:
        seed: what all know and nobody chose alone: a digest of all adverts.
    """
    sites, size = len(roster), degree(len(roster))
    if size >= sites - 1:
        return {site: tuple(other for other in roster if other != site) for site in roster}
    key = int.from_bytes(hashlib.blake2b(seed, digest_size=16, person=b"huizhen graph").digest(), "little")
    rim = np.random.Generator(np.random.Philox(key=key)).permutation(sites)
    near = np.concatenate([np.arange(-(size // 2), 0), np.arange(1, size // 2 + 1)])
    found = {}
    for place in range(sites):
        found[roster[rim[place]]] = tuple(roster[k] for k in sorted(rim[(place + near) % sites].tolist()))
    return {site: found[site] for site in roster}
