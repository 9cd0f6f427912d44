"""The key holder: the site that opens totals, and only totals, each once."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.arithmetic import Arithmetic, fastest
from huizhen.privacy.paillier.cipher import decrypt
from huizhen.privacy.paillier.keys import PrivateKey
from huizhen.privacy.paillier.layout import Layout, Values
from huizhen.privacy.paillier.seals import Seal

__all__ = ["FEWEST", "KeyHolder", "check_enough"]

FEWEST = 3  # of two addends, each site knows the other's


class KeyHolder:
    """Opens one total of each context, each rule with what it stops:

    - at least three sites: with two, each would know the other's values;
    - a context once, even if opening fails: totals over rosters that differ by one site would give that site away, and a
      failure would tell a hub that guesses whether it guessed well;
    - seals of the round's roster only: see `seals`.

    What was opened is kept in memory; a key holder that starts anew takes a new key, or remembers its contexts elsewhere.

    Args:
        private: the key.
        opened: contexts that were opened before.
    """

    def __init__(
        self, private: PrivateKey, *, opened: frozenset[bytes] = frozenset(), arithmetic: Arithmetic | None = None
    ) -> None:
        self._private = private
        self._opened = set(opened)
        self._arithmetic = arithmetic or fastest()
        self._lock = Lock()

    @property
    def opened(self) -> frozenset[bytes]:
        """Contexts that nothing more is opened of."""
        return frozenset(self._opened)

    def open_total(self, total: bytes, slots: Layout[Values], *, seals: Mapping[str, Seal]) -> Values:
        """The sums of values, as the layout gives them.

        Args:
            total: the encrypted sum, from the hub.
            seals: by site, of those whose ciphertexts the hub says to have added.

        Raises:
            FederationError: too few sites, a context that was opened before, or a total that is refused (see `decrypt`).
        """
        check_enough(len(seals))
        context = next(iter(seals.values())).context
        with self._lock:
            if context in self._opened:
                raise FederationError("A total of this round was opened before; no second one is.")
            self._opened.add(context)
        return decrypt(total, self._private, slots, seals=list(seals.values()), arithmetic=self._arithmetic)


def check_enough(sites: int) -> None:
    """Refuses a total of fewer than three sites.

    Raises:
        FederationError: fewer.
    """
    if sites < FEWEST:
        problem = Problem("total", f"{sites} sites", f"at least {FEWEST} sites")
        raise FederationError("A total of so few sites is not opened.", [problem])
