"""Keys are sound, travel as canonical values, and those that are not sound are refused."""

import math

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from huizhen import canonical
from huizhen.errors import FederationError
from huizhen.privacy.paillier.keys import PrivateKey, PublicKey, make_key, read_private_key, read_public_key


def test_a_key_has_the_form_that_its_source_asks_for(private):
    p, q, n = private.p, private.q, private.public.n
    assert p * q == n
    assert n.bit_length() == private.public.bits == 2048
    assert p.bit_length() == q.bit_length() == 1024
    assert p % 4 == q % 4 == 3
    assert math.gcd(p - 1, q - 1) == 2
    assert math.gcd(n, (p - 1) * (q - 1)) == 1


def test_minus_h_is_a_square_modulo_both_primes(private):
    for prime in (private.p, private.q):
        assert pow(-private.public.h, (prime - 1) // 2, prime) == 1


def test_openssl_takes_the_primes_for_primes(private):
    p, q = private.p, private.q
    e = next(e for e in (65537, 257, 17, 5, 3) if math.gcd(e, (p - 1) * (q - 1)) == 1)
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))
    numbers.private_key()  # checks that they are prime, and raises


def test_a_key_of_3072_bits_opens_what_it_hides(entropy):
    private = make_key(3072, entropy(74))  # a seed that meets primes early
    n = private.public.n
    assert n.bit_length() == 3072
    assert private.public.ciphertext_bytes == 768
    message = n // 3
    hidden = (1 + message * n) * pow(private.public.h, n * 12345, n * n) % (n * n)
    assert private.open([hidden, 1 + n]) == [message, 1]


def test_opening_modulo_both_primes_is_opening_by_the_definition(private):
    p, q, n = private.p, private.q, private.public.n
    order = math.lcm(p - 1, q - 1)
    hidden = (1 + 987654321 * n) * pow(7, n, n * n) % (n * n)
    by_definition = (pow(hidden, order, n * n) - 1) // n * pow(order, -1, n) % n
    assert private.open([hidden]) == [by_definition] == [987654321]


def test_keys_come_back_from_canonical_values(private):
    public = canonical.decode(canonical.encode(private.public.canonical()))
    assert read_public_key(public) == private.public
    assert read_public_key(public).key_id == private.public.key_id
    assert set(public) == {"n", "h"}
    assert read_private_key(canonical.decode(canonical.encode(private.canonical()))) == private


def test_a_private_key_does_not_show_its_numbers(private):
    assert str(private.p) not in repr(private)
    assert str(private.q) not in repr(private)


def test_entropy_makes_the_key(private, another, entropy):
    assert make_key(2048, entropy(370)) == private
    assert another.public.key_id != private.public.key_id


def test_other_lengths_are_refused(private, entropy):
    for bits in (0, 1024, 2047, 4096):
        with pytest.raises(FederationError, match="2048 or 3072"):
            make_key(bits, entropy(0))
    for n in (-private.public.n, 0, 15, private.public.n >> 1 | 1, private.public.n << 1 | 1, 1 << 100_000):
        with pytest.raises(FederationError, match="2048 or 3072"):
            PublicKey(n, 2)


def test_a_modulus_that_gives_itself_away_is_refused(private):
    n = private.public.n
    for small in (n + 1, (1 << 2047) + 1, 3**1292, 2039 * (n // 2039 | 1)):
        with pytest.raises(FederationError, match="small factor"):
            PublicKey(small, 2)
    prime = 2**2048 - 1942289  # the largest prime of 2048 bits
    square = math.isqrt(n) | 1
    while math.gcd(square, math.prod(range(3, 2049, 2))) != 1:
        square -= 2
    for bare in (prime, square * square):
        assert bare.bit_length() == 2048
        with pytest.raises(FederationError, match="prime or a square"):
            PublicKey(bare, 2)


def test_a_base_of_obfuscators_that_hides_nothing_is_refused(private):
    n = private.public.n
    for h in (-1, 0, 1, n - 1, n, n + 2, private.p, 5 * private.q):
        with pytest.raises(FederationError, match="unit modulo n"):
            PublicKey(n, h)


def test_a_private_key_with_other_primes_is_refused(private):
    p, q, public = private.p, private.q, private.public
    for one, other in ((p, p), (1, p * q), (p * q, 1), (p + 2, q), (-p, -q), (0, 0)):
        with pytest.raises(FederationError, match="two primes") as refusal:
            PrivateKey(one, other, public)
        assert str(p) not in str(refusal.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"n": b"1"},
        {"n": 5, "h": 2},
        {"n": b"\xff" * 385, "h": b"1"},
        {"n": None, "h": None},
        [b"n", b"h"],
        None,
        {"n": b"", "h": b""},
    ],
)
def test_values_that_are_no_key_are_refused(values):
    with pytest.raises(FederationError, match=r"cannot be read|2048 or 3072"):
        read_public_key(values)


def test_a_public_key_is_no_private_one(private):
    with pytest.raises(FederationError, match="cannot be read"):
        read_private_key(private.public.canonical())
    with pytest.raises(FederationError, match="cannot be read"):
        read_public_key(private.canonical())
