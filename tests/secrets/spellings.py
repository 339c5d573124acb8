"""How a secret may look when it has leaked, and a search for all of that in everything."""

from __future__ import annotations

import base64
import html
import json
import quopri
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

ENOUGH = 12  # octets of a piece of base64 that no chance writes


def spellings(secret: bytes) -> dict[str, bytes]:
    """The secret in clear, encoded, quoted and backwards."""
    found = {
        "clear": secret,
        "backwards": secret[::-1],
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "base32": base64.b32encode(secret).rstrip(b"="),
        "URL": urllib.parse.quote(secret, safe="").encode(),
        "form": urllib.parse.quote_plus(secret, safe="").encode(),
        "quoted-printable": quopri.encodestring(secret).replace(b"=\n", b""),
        "repr": repr(secret)[2:-1].encode(),
        "UTF-16": secret.decode("latin-1").encode("utf-16-le"),
    }
    for skip in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            whole = encode(b"\0" * skip + secret)
            middle = whole[-(-skip * 4 // 3) : (skip + len(secret)) * 8 // 6]
            found[f"{name} from {skip}"] = middle
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        pass
    else:
        found |= {"html": html.escape(text).encode(), "json": json.dumps(text)[1:-1].encode()}
        found["repr of text"] = repr(text)[1:-1].encode()
    return {
        name: value for name, value in found.items() if len(value) >= ENOUGH and (name == "clear" or value != secret)
    }


def hits(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> set[tuple[str, str, str]]:
    """(secret, spelling, place) of whatever is found."""
    return {
        (secret, spelling, place)
        for secret, value in secrets.items()
        for spelling, written in spellings(value).items()
        for place, content in places.items()
        if written in content
    }


def files_of(folder: Path, *, but: frozenset[str] = frozenset()) -> Iterator[tuple[str, bytes]]:
    """All files below a folder; sockets and those named are left out."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in but:
            yield name, path.read_bytes()
