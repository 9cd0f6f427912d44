"""Obfuscators: what hides a message in its ciphertext. They do not depend on the message, so they are made before it is known.

An obfuscator is (h^n)^r mod n^2 with r drawn anew from half as many bits as n has (Damgard, Jurik and Nielsen 2010). Powers of h^n
are kept in a table, for every byte of r its 256 powers, so that one obfuscator costs as many multiplications as r has bytes.

An obfuscator that is used twice gives away the difference of two messages. So:

- a `Pool` hands each out once, inside an `Obfuscators` batch that can be spent once;
- neither can be copied, pickled or written to disk: a copy would be spent again;
- a forked process inherits the memory but not the right to spend it: both ask which process runs;
- entropy that repeats itself within a draw is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Never

from huizhen.errors import FederationError
from huizhen.privacy.paillier.arithmetic import Arithmetic, fastest
from huizhen.privacy.paillier.digits import Digits, multiply, split
from huizhen.privacy.paillier.keys import PublicKey
from huizhen.privacy.paillier.primes import Entropy

__all__ = ["Obfuscators", "Pool", "Table"]

SLICE = 64  # obfuscators between two looks at the clock of whoever waits: about 40 ms


@dataclass(frozen=True, slots=True)
class Table:
    """Powers of h^n: row i, entry d is (h^n)^(d 256^i) as digits in base n. Public; about 22 MB for 2048 bits, 45 for 3072."""

    key: PublicKey
    arithmetic: Arithmetic
    n: int
    rows: tuple[tuple[Digits, ...], ...] = field(repr=False)

    @classmethod
    def of(cls, key: PublicKey, arithmetic: Arithmetic | None = None) -> Table:
        """The table of a key; 0.2 s with gmpy2, 1 to 2 s without."""
        arithmetic = arithmetic or fastest()
        n = arithmetic.number(key.n)
        # h^n is computed here and not taken from the key, so it is an n-th power whoever made the key.
        base = split(arithmetic.power(arithmetic.number(key.h), n, n * n), n)
        rows = []
        for _ in range(key.bits // 16):
            row: list[Digits] = [(arithmetic.number(1), arithmetic.number(0))]
            for _ in range(255):
                row.append(multiply(row[-1], base, n))
            rows.append(tuple(row))
            base = multiply(row[-1], base, n)
        return cls(key, arithmetic, n, tuple(rows))

    def draw(self, entropy: Entropy, count: int) -> list[Digits]:
        """Fresh obfuscators.

        Raises:
            FederationError: entropy of another length than was asked for, or that repeats itself.
        """
        length = len(self.rows)
        drawn = entropy(length * count)
        exponents = [drawn[at : at + length] for at in range(0, len(drawn), length)]
        if len(drawn) != length * count or len({*exponents, bytes(length)}) != count + 1:
            raise FederationError(
                "The source of randomness repeats itself or gives too little, so nothing is encrypted. Ask the site's operator."
            )
        return [self._power(exponent) for exponent in exponents]

    def _power(self, exponent: bytes) -> Digits:
        n, low, high = self.n, self.n // self.n, self.n - self.n
        for row, digit in zip(self.rows, exponent, strict=True):
            other_low, other_high = row[digit]
            high = low * other_high + high * other_low
            carry, low = divmod(low * other_low, n)
            high = (high + carry) % n
        return low, high


class _NeverCopied:
    """What is used once has no copies: neither by `copy` nor through a file or another process."""

    def __reduce__(self) -> Never:
        raise _no_copy()

    def __copy__(self) -> Never:
        raise _no_copy()

    def __deepcopy__(self, memo: object) -> Never:
        raise _no_copy()


class Obfuscators(_NeverCopied):
    """A batch that can be spent once.

    Args:
        key: the key that they are made for.
        digits: the obfuscators, as digits in base n.
        process: number of the running process; whoever spends must be who took.
    """

    def __init__(self, key: PublicKey, digits: list[Digits], process: Callable[[], int]) -> None:
        self.key = key
        self._held = deque([digits])
        self._process = process
        self._owner = process()

    def spend(self) -> list[Digits]:
        """The obfuscators, this one time.

        Raises:
            FederationError: they were spent before, or belong to another process.
        """
        _check_owner(self._owner, self._process)
        try:
            return self._held.pop()  # atomic: of two threads one gets them
        except IndexError:
            raise FederationError("These obfuscators were used before; a second use would give messages away.") from None


class Pool(_NeverCopied):
    """Obfuscators made beforehand, each for one ciphertext; safe to fill in one thread and take from in another.

    Args:
        table: of the key.
        entropy: gives as many secret random bytes as asked for.
        process: number of the running process (``os.getpid``).

    Attributes:
        late: how many had to be made when they were needed, because the pool was empty.
    """

    def __init__(self, table: Table, entropy: Entropy, *, process: Callable[[], int]) -> None:
        self.table = table
        self.late = 0
        self._entropy = entropy
        self._process = process
        self._owner = process()
        self._ready: deque[Digits] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    def fill(self, count: int, *, go_on: Callable[[], bool] = lambda: True) -> None:
        """Makes obfuscators until `count` are ready, or `go_on` says no; it is asked every 64 of them."""
        _check_owner(self._owner, self._process)
        while (missing := count - len(self._ready)) > 0 and go_on():
            self._ready.extend(self.table.draw(self._entropy, min(missing, SLICE)))

    def take(self, count: int) -> Obfuscators:
        """A batch that no one else gets; what is not ready is made at once.

        Raises:
            FederationError: the process was forked since the pool was made.
        """
        _check_owner(self._owner, self._process)
        taken: list[Digits] = []
        try:
            while len(taken) < count:
                taken.append(self._ready.popleft())  # atomic: no two threads get the same
        except IndexError:
            missing = count - len(taken)
            self.late += missing
            taken += self.table.draw(self._entropy, missing)
        return Obfuscators(self.table.key, taken, self._process)


def _check_owner(owner: int, process: Callable[[], int]) -> None:
    if process() != owner:
        raise FederationError("These obfuscators belong to another process, which may use them too; make a pool of your own.")


def _no_copy() -> FederationError:
    return FederationError("Obfuscators are used once, so they are not copied.")
