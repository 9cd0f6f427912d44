"""Each site's ledger: in a folder that outlives the run, or in memory."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from huizhen.errors import MachineError, Problem
from huizhen.ledger.keys import SigningKey, new_key, open_key, public_hex
from huizhen.ledger.store import LedgerStore, MemoryLedger, SqliteLedger

__all__ = ["Signed", "open_ledgers"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A site's ledger, and the key that signs it and speaks for the site."""

    ledger: LedgerStore
    key: SigningKey


def open_ledgers(sites: Iterable[str], folder: Path | None, stack: ExitStack) -> dict[str, Signed]:
    """A ledger for every site, closed with `stack`. In a folder: ``ledger/SITE.sqlite``, signed by ``keys/SITE.pem``; the
    public key to verify it with stands beside it, in ``ledger/SITE.pub``.

    Raises:
        MachineError: the folder cannot be made or written.
        LedgerError: a ledger that is already there does not verify.
    """
    if folder is None:
        keys = {site: new_key() for site in sites}
        return {site: Signed(MemoryLedger(key), key) for site, key in keys.items()}
    ledgers: dict[str, Signed] = {}
    try:
        for name in ("ledger", "keys"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise MachineError(
            "The run's folder cannot be made.", [Problem(str(folder), found, "a folder that can be written")]
        ) from None
    for site in sites:
        signer = open_key(folder / "keys" / f"{site}.pem")
        ledger = SqliteLedger(folder / "ledger" / f"{site}.sqlite", signer, durable="when settled")
        (folder / "ledger" / f"{site}.pub").write_text(public_hex(signer.public) + "\n", encoding="ascii")
        stack.callback(ledger.close)
        ledgers[site] = Signed(ledger, signer)
    return ledgers
