"""A site's published card: what its registry and tables hold, numbered, dated and signed, so that nobody publishes for it.

A card with a higher number takes the place of those before it; one without content takes them back. What is signed names the
site, the number and the key, so that an old card cannot pass for the present one to whoever has seen a later one.

    >>> from huizhen.ledger.keys import new_key
    >>> key = new_key()
    >>> card = SignedCard.of(Content(patients=120), site="east", number=1, at="2026-01-01T00:00:00+00:00", key=key)
    >>> card.is_sound, SignedCard.parse({**card.content, "number": 2}).is_sound
    (True, False)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AfterValidator, Field, field_validator

from huizhen import canonical
from huizhen.clock import moment
from huizhen.data.events.schema import KINDS
from huizhen.federation.bodies import Body, read_body
from huizhen.ids import NAME_RULE, is_name
from huizhen.ledger.keys import public_hex, read_public_hex

__all__ = [
    "BANDS",
    "LARGEST",
    "SCORES",
    "Band",
    "CodeEntry",
    "Content",
    "KindEntry",
    "ModalityEntry",
    "Score",
    "SignedCard",
    "SourceEntry",
    "VariableEntry",
]

PURPOSE = "huizhen-card-1"
LARGEST = 524_288  # bytes of a card: 500 codes and 2000 variables take half of it
MOST_CODES, MOST_VARIABLES, MOST_SOURCES, MOST_KINDS = 1000, 2000, 100, 50
LAST_NUMBER = 2**53
Band = Literal["0-50 %", "50-80 %", "80-95 %", "95-100 %"]
BANDS: tuple[Band, ...] = ("0-50 %", "50-80 %", "80-95 %", "95-100 %")
Score = Literal["completeness", "validity", "uniqueness", "plausibility"]
SCORES: tuple[Score, ...] = ("completeness", "validity", "uniqueness", "plausibility")

Count = Annotated[int, Field(ge=0, le=10**12)]
Year = Annotated[int, Field(ge=0, le=9999)]
Short = Annotated[str, Field(max_length=200)]
Long = Annotated[str, Field(max_length=2000)]


def _is_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"one of: {', '.join(KINDS)}")
    return kind


Kind = Annotated[str, AfterValidator(_is_kind)]


class Holder(Protocol):
    """Who signs: a key that can be used and not shown."""

    @property
    def public(self) -> Ed25519PublicKey: ...

    def sign(self, message: bytes) -> bytes: ...


class KindEntry(Body):
    """A kind of event; None where it is withheld.

    Attributes:
        patients: who have such events; first, last: years.
        timed, coded, with_unit: share of them all of whose events have a time, a code, of whose numbers have a unit.
    """

    kind: Kind
    patients: Count | None = None
    first: Year | None = None
    last: Year | None = None
    timed: Band | None = None
    coded: Band | None = None
    with_unit: Band | None = None


class CodeEntry(Body):
    """A code that enough patients have."""

    kind: Kind
    system: Short
    code: Annotated[str, Field(max_length=800)]
    display: Long = ""
    unit: Short = ""
    patients: Count | None = None


class ModalityEntry(Body):
    """A kind of image, signal or text that enough patients have: ``CT``, ``MR``, ``ECG``, ``report``."""

    name: Short
    patients: Count | None = None


class VariableEntry(Body):
    """A variable that studies may ask for: as the dictionary says it, or the table.

    Attributes:
        code: ``SYSTEM:CODE``, or "".
        complete: share of the rows that have a value.
    """

    name: Short
    type: Short
    unit: Short = ""
    code: Annotated[str, Field(max_length=1001)] = ""
    about: Long = ""
    complete: Band | None = None


class SourceEntry(Body):
    """Rows that studies are answered from."""

    alias: Short
    about: Long = ""
    rows: Count | None = None
    variables: list[VariableEntry] = Field(default=[], max_length=MOST_VARIABLES)


class Content(Body):
    """What a card says.

    Attributes:
        about: in the site's own words.
        quality: by score the share of what was judged that is sound.
        min_cell_count, round_to: the policy by which numbers are told.
    """

    about: Long = ""
    patients: Count | None = None
    first: Year | None = None
    last: Year | None = None
    kinds: list[KindEntry] = Field(default=[], max_length=MOST_KINDS)
    codes: list[CodeEntry] = Field(default=[], max_length=MOST_CODES)
    modalities: list[ModalityEntry] = Field(default=[], max_length=MOST_KINDS)
    sources: list[SourceEntry] = Field(default=[], max_length=MOST_SOURCES)
    quality: dict[Score, Band] = Field(default={})
    min_cell_count: Count = 0
    round_to: Count = 1

    @property
    def digest(self) -> str:
        """Of everything that it says."""
        return canonical.digest(self.model_dump())


class SignedCard(Body):
    """A card of one site.

    Attributes:
        number: 1 for the first card of this key, and higher for every later one.
        at: by the site's clock, which need not be right: nothing is decided by it.
        key: public identity key of the site, hexadecimal.
        card: what it says; None takes back what was published.
    """

    site: str
    number: int = Field(ge=1, le=LAST_NUMBER)
    at: Annotated[str, Field(max_length=40)]
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    card: Content | None
    signature: bytes = Field(min_length=64, max_length=64)

    @field_validator("site")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError(f"a name: {NAME_RULE}")
        return name

    @field_validator("at")
    @classmethod
    def _time(cls, text: str) -> str:
        moment(text)
        return text

    @classmethod
    def of(cls, card: Content | None, *, site: str, number: int, at: str, key: Holder) -> SignedCard:
        """A card with a site's signature."""
        said = {"site": site, "number": number, "at": at, "key": public_hex(key.public)}
        message = _message({**said, "card": None if card is None else card.model_dump()})
        return cls(**said, card=card, signature=key.sign(message))  # type: ignore[arg-type]  # the texts are texts

    @classmethod
    def parse(cls, body: Any) -> SignedCard:
        """The card in a body; its signature is still to be checked.

        Raises:
            CallerError: with every mistake.
        """
        return read_body(cls, body, what="card", largest=LARGEST)

    @property
    def content(self) -> dict[str, Any]:
        """All of it as plain values."""
        return self.model_dump()

    @property
    def digest(self) -> str:
        """Of all that is signed."""
        return canonical.digest(self._said)

    @property
    def is_sound(self) -> bool:
        """Whether the holder of the key that it names has signed exactly this."""
        try:
            read_public_hex(self.key).verify(self.signature, _message(self._said))
        except InvalidSignature:
            return False
        return True

    @property
    def _said(self) -> dict[str, Any]:
        return self.model_dump(exclude={"signature"})


def _message(said: Mapping[str, Any]) -> bytes:
    return canonical.encode([PURPOSE, said])
