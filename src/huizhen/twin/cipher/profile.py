"""What is known of an algorithm before it is used: what it does, what its length counts, how strong it is, and who asks for it.

quantum      by which attack a quantum computer would weaken it
  shor       keys follow from public ones in polynomial time: broken (Shor 1997, SIAM J. Comput. 26:1484)
  grover     keys are searched in the square root of the tries: the exponent halves at most (Grover 1996, STOC)
  lattice    a problem on lattices, for which no attack much better than a classical one is known (FIPS 203)
  shares     nothing to compute: too few shares say nothing (Shamir 1979, CACM 22:612)
  none       it keeps no secret by a key

commercial   GB/T 39786-2021 asks that cryptography of an information system follows national and industry standards
  named      it is such a standard's (SM2, SM3, SM4)
  not named  it is a cipher, and not one of theirs: an assessment by GB/T 39786 does not count it
  no cipher  the question does not arise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CommercialStanding", "Counts", "Profile", "Quantum"]

Quantum = Literal["shor", "grover", "lattice", "shares", "none"]
CommercialStanding = Literal["named", "not named", "no cipher"]
Counts = Literal["bytes", "numbers", "bits"]
ENOUGH = 112  # bits: what NIST SP 800-57 part 1, revision 5, section 5.6.3 still accepts, up to 2030
LASTING = 128  # from 2031 on


@dataclass(frozen=True, slots=True)
class Profile:
    """An algorithm.

    Attributes:
        name: as in `Use.algorithm`.
        steps: what can be asked of it: ``keys``, ``seal``, ``open``, ``mask``, ``unmask``, ``add``, ``sign``, ``verify``, ``hash``.
        counts: what a length is of: ``bytes`` of plain text, ``numbers``, or ``bits`` of a key.
        standard: where it is written down.
        security_bits: an attacker needs about 2 to this power operations; of a broken algorithm what the attack leaves, 0 where
            nothing is hidden.
        broken: how and by whom, "" where it is not.
        quantum, commercial: see above.
        note: what a length is of, where that is not plain.
    """

    name: str
    steps: tuple[str, ...]
    counts: Counts
    standard: str
    security_bits: int
    quantum: Quantum
    commercial: CommercialStanding
    broken: str = ""
    note: str = ""

    @property
    def is_broken(self) -> bool:
        return bool(self.broken)

    @property
    def may_protect(self) -> bool:
        """Whether it is strong enough for what is sent today."""
        return not self.broken and (self.security_bits >= ENOUGH or self.quantum == "shares")

    @property
    def outlasts_quantum(self) -> bool:
        """Whether what is recorded today stays hidden from a quantum computer of tomorrow."""
        lasts = self.quantum in ("grover", "lattice", "shares")
        return not self.broken and lasts and (self.security_bits >= LASTING or self.quantum == "shares")
