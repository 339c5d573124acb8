"""The organisational domain of a name, by the public suffix list that comes with the library."""

from __future__ import annotations

from functools import lru_cache

from publicsuffixlist import PublicSuffixList


@lru_cache(maxsize=1)
def _list() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=True)


@lru_cache(maxsize=10_000)
def organisational(name: str) -> str:
    """The domain that somebody registered, of a name in lower-case A-labels: mail.example.co.uk, example.co.uk.

    A public suffix is its own organisational domain, since there is nothing above it to share.
    """
    return look_up(name)


def look_up(name: str) -> str:
    """As organisational, without remembering it: for who asks about many names once."""
    return _list().privatesuffix(name) or name
