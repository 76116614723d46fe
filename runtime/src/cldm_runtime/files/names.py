"""The form of file names in a bundle, and of digests in hexadecimal."""

import re

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_plain_name(name: str) -> bool:
    """Whether it is a file name that is valid on every system and leads to no other folder: at most 128 ASCII letters,
    digits, '.', '_' and '-', the first a letter or a digit."""
    return _PLAIN_NAME.fullmatch(name) is not None


def is_sha256(text: str) -> bool:
    """Whether it is 64 lower-case hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None
