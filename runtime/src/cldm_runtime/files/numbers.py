"""Numbers that users write: ASCII digits with an optional sign, decimal point and exponent.

Python itself also reads 1_0 as 10, digits of other scripts, nan and infinity, and 1e400 as infinity.
"""

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_NOT_FINITE = ("nan", "inf", "infinity")


def whole_number(text: str) -> int:
    """The integer that a text states; blanks around it are passed over. Raises ValueError that says what it is not."""
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError("is not a whole number")
    return int(text)


def finite_number(text: str) -> float:
    """The number that a text states; blanks around it are passed over. Raises ValueError that says what it is not."""
    stripped = text.strip()
    value = float(stripped) if _DECIMAL.fullmatch(stripped) else math.nan
    if math.isinf(value) or stripped.lstrip("+-").lower() in _NOT_FINITE:
        raise ValueError("is not a finite number")
    if math.isnan(value):
        raise ValueError("is not a number")
    return value
