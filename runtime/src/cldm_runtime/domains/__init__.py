"""The registered domains. Each entry builds its `Domain` when it is first asked for."""

from collections.abc import Callable
from functools import cache

from ..domain import Domain


@cache
def _lge() -> Domain:
    from .lge import lge_domain

    return lge_domain()


DOMAINS: dict[str, Callable[[], Domain]] = {"lge": _lge}
