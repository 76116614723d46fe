"""What the name of a file in a bundle, and a digest in hexadecimal, must look like."""

import re

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_plain_name(name: str) -> bool:
    """Whether it is a file's name that every system takes and that leads nowhere else: at most 128 ASCII letters,
    digits, '.', '_' and '-', the first a letter or a digit."""
    return _PLAIN_NAME.fullmatch(name) is not None


def is_sha256(text: str) -> bool:
    """Whether it is 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None
