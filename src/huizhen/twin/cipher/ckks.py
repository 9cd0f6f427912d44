"""CKKS: approximate sums and products of encrypted real numbers; how large its ciphertexts are.

A ciphertext is two polynomials of N coefficients modulo a product of L primes, each residue in 8 bytes: 16 N L bytes. The last
prime of a chain serves the keys alone and is not in a fresh ciphertext; every product takes one prime more away. One ciphertext
carries N / 2 numbers.

Source: Cheon, Kim, Kim and Song, Homomorphic encryption for arithmetic of approximate numbers, ASIACRYPT 2017; residues: Cheon et
al., SAC 2018. As it is stored: Microsoft SEAL 4.1, native/src/seal/ciphertext.cpp (save_members) and serialization.h (SEALHeader).

>>> scheme = read_ckks("ckks-8192-60.40.60")
>>> scheme.slots, scheme.levels, scheme.ciphertext_bytes(), scheme.stored_bytes()
(4096, 1, 262144, 262257)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from huizhen.errors import CallerError, Problem

__all__ = ["CKKS", "MOST_BITS", "read_ckks"]

# Sum of all moduli's bits for 128 bits of security, ternary secrets: Homomorphic Encryption Standard, 2018, table 1.
MOST_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
POLYNOMIALS, RESIDUE_BYTES = 2, 8
# A header of 16 bytes; 32 name the moduli, 1 the form, 8 each polynomials, N, L, scale and correction; an array's header and count.
STORED_BESIDE = 16 + 32 + 1 + 5 * 8 + 16 + 8
LARGEST_PRIME, SMALLEST_PRIME = 60, 20


@dataclass(frozen=True, slots=True)
class CKKS:
    """Parameters.

    Attributes:
        degree: N, a power of two.
        chain: bits of the primes, in order; the last one is the keys'.
    """

    degree: int
    chain: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"ckks-{self.degree}-{'.'.join(map(str, self.chain))}"

    @property
    def slots(self) -> int:
        """Numbers in one ciphertext."""
        return self.degree // 2

    @property
    def levels(self) -> int:
        """Products that can be made one after another."""
        return len(self.chain) - 2

    @property
    def scale_bits(self) -> int:
        """Of the scale that a product is brought back to: the middle primes', or what one prime leaves room for."""
        return self.chain[1] if self.levels else self.chain[0] // 2

    def ciphertexts(self, numbers: int) -> int:
        """How many carry so many numbers."""
        return -(-numbers // self.slots)

    def ciphertext_bytes(self, *, spent: int = 0) -> int:
        """Bytes of the residues of one ciphertext after `spent` products."""
        if not 0 <= spent <= self.levels:
            problem = Problem("levels spent", str(spent), f"0 to {self.levels}")
            raise CallerError("A ciphertext has no such level.", [problem])
        return POLYNOMIALS * self.degree * (len(self.chain) - 1 - spent) * RESIDUE_BYTES

    def stored_bytes(self, *, spent: int = 0) -> int:
        """Bytes of one ciphertext as it is stored, uncompressed."""
        return STORED_BESIDE + self.ciphertext_bytes(spent=spent)

    def least_bytes(self) -> int:
        """What no compression goes below: the residues are as good as random, and have as many bits as their primes."""
        return POLYNOMIALS * self.degree * sum(self.chain[:-1]) // 8


def read_ckks(name: str) -> CKKS:
    """The parameters in a name such as ``ckks-8192-60.40.60``.

    Raises:
        CallerError: they cannot be, or give less than 128 bits of security.
    """
    if not re.fullmatch(r"ckks-[0-9]{1,6}-[0-9]{1,3}(\.[0-9]{1,3}){1,40}", name):
        problem = Problem("algorithm", name, "ckks, N and the bits of its primes, such as ckks-8192-60.40.60")
        raise CallerError("This protection is not known to the twin.", [problem])
    _, degree, chain = name.split("-")
    scheme = CKKS(int(degree), tuple(map(int, chain.split("."))))
    problems = []
    if scheme.degree not in MOST_BITS:
        problems.append(Problem("N", degree, f"one of {', '.join(map(str, MOST_BITS))}"))
    elif sum(scheme.chain) > MOST_BITS[scheme.degree]:
        expected = f"at most {MOST_BITS[scheme.degree]} bits, for 128 bits of security"
        problems.append(Problem("primes", f"{sum(scheme.chain)} bits in all", expected, "Take a larger N, or fewer primes"))
    if not all(SMALLEST_PRIME <= bits <= LARGEST_PRIME for bits in scheme.chain):
        problems.append(Problem("primes", chain, f"{SMALLEST_PRIME} to {LARGEST_PRIME} bits each"))
    if problems:
        raise CallerError("These parameters of CKKS cannot be used.", problems)
    return scheme
