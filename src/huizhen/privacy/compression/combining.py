"""What of compression, sum, noise and method cannot be combined, with the reason and what to do instead.

    compress     sum: plain   masked         paillier       noise: central          exact method
    quantised    yes          16 bits        yes            yes, nothing is kept    no
    shared       yes          16 bits        yes            no                      no
    top_k        yes          no             yes            no                      no
    low_rank     yes          16 bits        yes            no                      no

- *top_k, masked*: masks lie on fixed places and cancel only where all sites send the same ones.
- *fewer bits, masked*: masks fill a ring of 16 bits at least, so that fewer bits would cost accuracy and save no byte.
- *what is kept, central noise*: such noise is measured by how much one patient, or one site, can change the sum of one round. What
  is kept carries a round's change into later rounds, where it is sent together with theirs: the bound no longer holds. (Clipped
  again after feedback, a whole site's part would be bounded; nothing here sees to that order, so it is refused.)
- *top_k, central noise*: moreover the places are chosen by the values, and no noise is added to places.
- Noise in training at the site (DP-SGD), or on a site's values before they are shrunk (local), has done its work already: what is
  computed from it, and what is kept of it, is covered by the same promise (Dwork and Roth 2014, proposition 2.1).
- *exact methods*: their promise is the pooled answer to the last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from huizhen.errors import Problem
from huizhen.privacy.compression.spec import Compress

__all__ = ["Noise", "Sum", "conflicts", "keeps"]

Sum = Literal["plain", "masked", "paillier"]
Noise = Literal["none", "training", "local", "patient", "site"]  # the last two: central, in shares, on what is summed
CENTRAL = ("patient", "site")
RING = 16  # bits of the smallest ring of masks


def keeps(compress: Compress, noise: Noise) -> bool:
    """Whether a site keeps what it does not send (error feedback) under this noise."""
    return compress.kind != "none" and noise not in CENTRAL


def conflicts(
    sum: Sum, compress: Compress, noise: Noise, *, exact_method: bool, sites: int = 3, where: str = "protection.compress"
) -> tuple[Problem, ...]:
    """What cannot be combined; nothing where it all can, and always where nothing is compressed.

    Args:
        sum: how addends are added up.
        compress: what the study asks for.
        noise: ``none``; ``training``: inside each site's training; ``local``: on a site's values before they are shrunk;
            ``patient``, ``site``: in shares on what is summed, for a promise to a patient or to a site.
        exact_method: whether a method of the study promises the pooled answer (regression, survival, boosting, statistics).
        sites: who may take part at most; their levels share the bits of a masked sum.
        where: the key under which the study says it.

    A sum or a noise that is not known here cannot be combined with any compression.
    """
    if compress.kind == "none":
        return ()
    return (
        *_unknown(sum, noise, where),
        *_of_method(compress, exact_method, where),
        *_of_sum(sum, compress, sites, where),
        *_of_noise(compress, noise, where),
    )


def _unknown(sum: str, noise: str, where: str) -> Iterator[Problem]:
    if sum not in get_args(Sum):
        yield Problem(where, f"compression with the sum {sum!r}", f"one of: {', '.join(get_args(Sum))}", 'Set compress = "none"')
    if noise not in get_args(Noise):
        yield Problem(
            where, f"compression with the noise {noise!r}", f"one of: {', '.join(get_args(Noise))}", 'Set compress = "none"'
        )


def _of_method(compress: Compress, exact_method: bool, where: str) -> Iterator[Problem]:
    if exact_method:
        yield Problem(
            where,
            f"{compress.kind} with a method whose answer equals the pooled one",
            "compression with learned networks (averaging) alone",
            'It would change the answer; set compress = "none", or put the network into a study of its own',
        )


def _of_sum(sum: str, compress: Compress, sites: int, where: str) -> Iterator[Problem]:
    if sum != "masked":
        return
    if compress.kind == "top_k":
        yield Problem(
            where,
            "top_k with masked sums",
            "a compression in which all sites send the same entries",
            "Masks cancel only where all sites send the same ones; choose shared, or the sum paillier",
        )
    elif compress.bits != RING:
        yield Problem(
            f"{where}.bits",
            f"a masked sum of numbers of {compress.bits} bits",
            "16 bits",
            "A masked number takes 16 bits in any case, so that fewer would save nothing",
        )
    elif (2 ** (RING - 1) - 2) // max(1, sites) < 1:
        yield Problem(where, f"a masked sum of {sites} sites in 16 bits", "at most 32766 sites", 'Set compress = "none"')


def _of_noise(compress: Compress, noise: str, where: str) -> Iterator[Problem]:
    if noise not in CENTRAL:
        return
    if compress.kind == "top_k":
        yield Problem(
            where,
            f"central noise for a {noise} with top_k",
            "none or quantised",
            "Which entries are sent depends on the patients, and no noise is added to that",
        )
    elif compress.kind != "quantised":
        yield Problem(
            where,
            f"central noise for a {noise} with {compress.kind}",
            "none or quantised",
            f"What is not sent waits until later rounds, where one {noise} could change a sum more than the noise covers",
        )
