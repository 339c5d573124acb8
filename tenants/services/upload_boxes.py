"""The bytes of an upload: sealed piece by piece with a key of its own, and opened in memory only."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from outreach.common.sealing import KEY_BYTES, Key, Keyring
from tenants.models import FilePart, FileUpload
from tenants.services import sealing

PIECE = 2**18  # bytes


def new_key(upload: FileUpload) -> None:
    """Give the unsaved upload the key of its parts."""
    place = upload.SEAL.place(upload.tenant_id, upload.seal_ref)
    upload.sealed_key = sealing.keyring().seal(os.urandom(KEY_BYTES), place)


def write(upload: FileUpload, kind: str, chunks: Iterable[bytes]) -> None:
    """Keep these bytes as parts of that kind."""
    ring = _ring(upload)
    for number, piece in enumerate(_pieces(chunks)):
        box = ring.seal(piece, _place(upload, kind, number))
        upload.parts.create(tenant_id=upload.tenant_id, kind=kind, number=number, box=box)


def read(upload: FileUpload, kind: str) -> Iterator[bytes]:
    """The pieces in order. Raises SealBroken where one was changed or put elsewhere."""
    ring = _ring(upload)
    for number in upload.parts.filter(kind=kind).order_by("number").values_list("number", flat=True):
        box = upload.parts.values_list("box", flat=True).get(kind=kind, number=number)
        yield ring.open(bytes(box), _place(upload, kind, number))


@contextmanager
def opened(upload: FileUpload) -> Iterator[Path]:
    """The file under a name of its own in a folder that goes; its bytes are in memory and never on a disk."""
    with _memory() as file, tempfile.TemporaryDirectory(prefix="upload-") as folder:
        for piece in read(upload, FilePart.Kind.FILE):
            file.write(piece)
        file.flush()
        path = Path(folder) / (re.sub(r"[^\w.-]", "_", upload.file_name)[-100:].lstrip(".") or "file")
        path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        yield path


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("upload", os.MFD_CLOEXEC), "w+b")


def _ring(upload: FileUpload) -> Keyring:
    place = upload.SEAL.place(upload.tenant_id, upload.seal_ref)
    return Keyring([Key("file", sealing.keyring().open(bytes(upload.sealed_key), place))])


def _place(upload: FileUpload, kind: str, number: int) -> tuple[str, ...]:
    return (str(upload.tenant_id), upload.parts.model._meta.label, str(upload.seal_ref), str(kind), str(number))


def _pieces(chunks: Iterable[Any]) -> Iterator[bytes]:
    left = b""
    for chunk in chunks:
        left += chunk
        while len(left) >= PIECE:
            yield left[:PIECE]
            left = left[PIECE:]
    if left:
        yield left
