"""Names that people give and identifiers that programs make.

>>> is_name("west-lake_3"), is_name("../etc"), is_name("")
(True, False, False)
"""

from __future__ import annotations

import re
import secrets

__all__ = ["NAME_RULE", "is_name", "new_id"]

NAME_RULE = "1 to 64 letters (of any script), digits, '-', '_' or '.', starting with a letter or digit"
_NAME = re.compile(r"[^\W_][\w.\-]{0,63}", re.UNICODE)


def is_name(text: str) -> bool:
    """Whether `text` may name a site, a study or an analysis; such a name is safe in a file name and in a log."""
    return _NAME.fullmatch(text) is not None


def new_id(prefix: str) -> str:
    """A fresh identifier, e.g. ``run-3f9c0a1b2c4d5e6f`` (64 random bits from a secure source)."""
    return f"{prefix}-{secrets.token_hex(8)}"
