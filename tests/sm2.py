"""SM2 encryption and signatures written from the standard, to check sizes by: slow, and not for secrets.

Curve and steps: GB/T 32918.5-2017, annex A; GB/T 32918.4-2016, section 6; SM3 is that of `cryptography`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
assert (G[1] ** 2 - G[0] ** 3 - A * G[0] - B) % P == 0


def public_key(private):
    return _times(private, G)


def encrypt(plain, key, rng):
    """Raw (04 x y, C3, C2) and DER, of the same numbers."""
    k = rng.randrange(1, N)
    (x1, y1), (x2, y2) = _times(k, G), _times(k, key)
    x, y = (number.to_bytes(32, "big") for number in (x2, y2))
    stream = b"".join(_sm3(x + y + count.to_bytes(4, "big")) for count in range(1, len(plain) // 32 + 2))
    hidden = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    digest = _sm3(x + plain + y)
    raw = b"\4" + x1.to_bytes(32, "big") + y1.to_bytes(32, "big") + digest + hidden
    parts = _der(2, _integer(x1)) + _der(2, _integer(y1)) + _der(4, digest) + _der(4, hidden)
    return raw, _der(0x30, parts)


def _integer(number):
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _der(tag, content):
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes(-(-size.bit_length() // 8), "big")
    return bytes([tag, 128 + len(length)]) + length + content


def _sm3(content):
    digest = hashes.Hash(hashes.SM3())
    digest.update(content)
    return digest.finalize()


def _times(factor, point):
    total = None
    while factor:
        if factor & 1:
            total = _sum(total, point)
        point, factor = _sum(point, point), factor >> 1
    return total


def _sum(one, other):
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    above, below = (3 * one[0] ** 2 + A, 2 * one[1]) if one == other else (other[1] - one[1], other[0] - one[0])
    slope = above * pow(below, -1, P)
    x = (slope**2 - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P
