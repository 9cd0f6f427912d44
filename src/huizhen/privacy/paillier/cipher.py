"""What each party does: a site encrypts, the hub adds without reading, the key holder opens the total.

encrypt: c = (1 + m n) (h^n)^r mod n^2      add: product of ciphertexts      open: m of the product = sum of the m

>>> import os, secrets
>>> import numpy as np
>>> from huizhen.privacy.paillier.holder import KeyHolder
>>> from huizhen.privacy.paillier.keys import make_key
>>> from huizhen.privacy.paillier.obfuscators import Table
>>> from huizhen.privacy.paillier.slots import Slots
>>> private = make_key(2048, secrets.token_bytes)  # at the key holder, which gives `private.public` to all
>>> key, slots, common = private.public, Slots(16, 5, 2048), secrets.token_bytes(32)
>>> seals = {site: Seal(common, secrets.token_bytes(32), b"run 7, round 1") for site in ("east", "north", "west")}
>>> table = Table.of(key)  # at each site, once
>>> sent = {}
>>> for site, seal in seals.items():
...     pool = Pool(table, secrets.token_bytes, process=os.getpid)
...     pool.fill(slots.numbers(3))  # while it computes its values
...     sent[site] = encrypt(np.array([1, -2, 3]), key, slots, pool=pool, seal=seal)
>>> total = add(sent, key, slots)  # at the hub
>>> KeyHolder(private).open_total(total, slots, seals=seals)  # at the key holder
array([ 3, -6,  9])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.arithmetic import Arithmetic, fastest
from huizhen.privacy.paillier.ciphertexts import Ciphertexts, read_ciphertexts
from huizhen.privacy.paillier.digits import multiply
from huizhen.privacy.paillier.keys import PrivateKey, PublicKey
from huizhen.privacy.paillier.layout import Layout, Values
from huizhen.privacy.paillier.obfuscators import Pool
from huizhen.privacy.paillier.seals import Seal

__all__ = ["add", "combine", "decrypt", "encrypt", "read_total"]


def encrypt(values: Values, key: PublicKey, slots: Layout[Values], *, pool: Pool, seal: Seal) -> bytes:
    """A site's values, encrypted for the key holder.

    Args:
        values: integers within the slots' bits, as the layout takes them: (value,) int64, or any integers for wide slots.
        pool: obfuscators of this key; what it lacks is made at once, which takes long.
        seal: the site's, for this encryption alone.

    Raises:
        FederationError: values out of range, slots or pool of another key, obfuscators of another process.
    """
    if pool.table.key != key or slots.modulus_bits != key.bits:
        raise FederationError("Values are encrypted with a pool and slots of the round's key; these are of another one.")
    messages = slots.messages(values, seal)
    arithmetic = pool.table.arithmetic
    n, read = pool.table.n, arithmetic.read
    obfuscators = pool.take(len(messages)).spend()
    # (1 + m n)(a + b n) = a + (b + m a) n modulo n^2
    digits = [(a, (b + read(message) * a) % n) for message, (a, b) in zip(messages, obfuscators, strict=True)]
    return Ciphertexts(len(values), 1, digits).encoded(key, slots, arithmetic)


def add(ciphertexts: Mapping[str, bytes], key: PublicKey, slots: Layout[Any], *, arithmetic: Arithmetic | None = None) -> bytes:
    """The encrypted sum, from each site's ciphertexts by site; needs no secret.

    Raises:
        FederationError: malformed ciphertexts, sites that sent different numbers of values, or more addends than slots hold.
    """
    arithmetic = arithmetic or fastest()
    if not ciphertexts:
        raise FederationError("There are no ciphertexts to add.")
    each = {site: read_ciphertexts(encoded, key, slots, arithmetic, sender=f"site {site}") for site, encoded in ciphertexts.items()}
    return combine(each, key, slots, arithmetic=arithmetic)


def combine(each: Mapping[str, Ciphertexts], key: PublicKey, slots: Layout[Any], *, arithmetic: Arithmetic | None = None) -> bytes:
    """As `add`, of ciphertexts that were read before."""
    arithmetic = arithmetic or fastest()
    values = next(iter(each.values())).values
    problems = [
        Problem(f"site {site}", f"{one.values} values", f"{values} values, as from the first site")
        for site, one in each.items()
        if one.values != values
    ]
    addends = sum(one.addends for one in each.values())
    if addends > slots.addends:
        problems.append(Problem("ciphertexts", f"{addends} addends", f"at most {slots.addends} addends"))
    if problems:
        raise FederationError("The sites' ciphertexts cannot be added.", problems)
    n = arithmetic.number(key.n)
    columns = zip(*(one.digits for one in each.values()), strict=True)
    digits = [reduce(lambda left, right: multiply(left, right, n), column) for column in columns]
    return Ciphertexts(values, addends, digits).encoded(key, slots, arithmetic)


def decrypt(
    total: bytes, private: PrivateKey, slots: Layout[Values], *, seals: Sequence[Seal], arithmetic: Arithmetic | None = None
) -> Values:
    """The sums of values, as the layout gives them: (value,) int64, or a list of integers for wide slots.

    A pure rule that opens whatever its seals fit; `KeyHolder` keeps to what may be opened.

    Args:
        seals: of the sites whose ciphertexts were added, each once.

    Raises:
        FederationError: malformed ciphertexts, a total of other sites or an altered one, or values out of range.
    """
    arithmetic = arithmetic or fastest()
    read = read_total(total, private.public, slots, seals=seals, arithmetic=arithmetic)
    n = arithmetic.number(private.public.n)
    key_bytes = private.public.bits // 8
    messages = private.open([low + high * n for low, high in read.digits], arithmetic)
    return slots.opened([arithmetic.write(one, key_bytes) for one in messages], read.values, seals)


def read_total(total: bytes, key: PublicKey, slots: Layout[Any], *, seals: Sequence[Seal], arithmetic: Arithmetic) -> Ciphertexts:
    """A total's ciphertexts, of as many addends as there are seals."""
    read = read_ciphertexts(total, key, slots, arithmetic, sender="total")
    if read.addends != len(seals):
        problem = Problem("total", f"{read.addends} addends", f"{len(seals)} addends, one for each site of the round")
        raise FederationError("A total is not opened.", [problem])
    if len({seal.common for seal in seals}) != 1 or len({seal.context for seal in seals}) != 1:
        raise FederationError("Seals of different rounds open no total.")
    if len({seal.own for seal in seals}) != len(seals):
        raise FederationError("A site's seal counts once; the roster names a site twice.")
    return read
