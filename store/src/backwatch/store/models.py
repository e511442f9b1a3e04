"""Models that were fitted off the path: plain arrays, named by the hash of their bytes, never pickled."""

import hashlib
import io
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.upsert import insert_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def put_model(connection: sa.Connection, blob: bytes, *, now_ns: int) -> str:
    """Keeps the bytes and gives their SHA-256 in hex, under which an entry refers to them."""
    sha256 = hashlib.sha256(blob).hexdigest()
    insert_missing(connection, tables.model, [{"sha256": sha256, "blob": blob, "created_ns": now_ns}])
    return sha256


def get_model(connection: sa.Connection, sha256: str) -> bytes:
    """The bytes of that hash.

    Raises:
        LookupError: There are none, or they are no longer what was put there.
    """
    blob = connection.scalar(sa.select(tables.model.c.blob).where(tables.model.c.sha256 == sha256))
    if blob is None or hashlib.sha256(blob).hexdigest() != sha256:
        raise LookupError(f"no model has the hash {sha256[:64]!r}")
    return bytes(blob)


def put_arrays(connection: sa.Connection, arrays: "Mapping[str, NDArray[Any]]", *, now_ns: int) -> str:
    """Keeps named arrays as one ``.npz``; the same arrays have the same hash. Callers have NumPy."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    return put_model(connection, buffer.getvalue(), now_ns=now_ns)


def arrays(connection: sa.Connection, sha256: str) -> "dict[str, NDArray[Any]]":
    """The arrays that :func:`put_arrays` kept. An array of objects is refused: loading one would run code."""
    import numpy as np

    with np.load(io.BytesIO(get_model(connection, sha256)), allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}
