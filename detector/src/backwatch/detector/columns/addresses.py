"""Addresses of calls: one per key space and per rule domain, from the keyed hashes of their columns."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.decoding import schema
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.rules.fields import CALL_FIELDS

Array = NDArray[Any]

RESOURCE, SESSION, STATEMENT, RESOURCE_FACTS, SESSION_FACTS, STATEMENT_FACTS, CONTENT_FACTS, APP = range(8)
"""Rows of :func:`addresses`: three key spaces, what rules look up, and one more key space. A resource's facts are more
than its address: a destination is none of its parts, and a name stands for some of them."""


def _of(kind: tuple[str, ...], domain: str) -> NDArray[np.int64]:
    return np.array(
        [at for at, name in enumerate(kind) if name in CALL_FIELDS and CALL_FIELDS[name].domain == domain], np.int64
    )


def _texts(*columns: str) -> NDArray[np.int64]:
    return np.array([schema.TEXT_INDEX[name] for name in columns], np.int64)


_APP: Final = _texts(names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
_SYSTEM: Final = _texts(*names.SYSTEMS)
_WHERE: Final = _texts(names.SERVER_ADDRESS, names.DB_NAMESPACE)
_NAME: Final = schema.TEXT_INDEX[names.RESOURCE_NAME]
_PORT: Final = schema.NUMBER_INDEX[names.SERVER_PORT]
_OPERATION: Final = _texts(names.OPERATION)
_RESOURCE: Final = (_of(schema.TEXTS, "resource"), _of(schema.NUMBERS, "resource"))
_SESSION: Final = (_of(schema.TEXTS, "session"), _of(schema.NUMBERS, "session"), _of(schema.FLAGS, "session"))
_CONTENT: Final = (_of(schema.TEXTS, "content"), _of(schema.NUMBERS, "content"), _of(schema.FLAGS, "content"))
_FIELDS: Final = (_APP, _SYSTEM, _WHERE, _OPERATION, _RESOURCE, _SESSION, _CONTENT)


@kernel
def _over(seed: Array, hashes: Array, which: Array) -> None:
    """Mix columns into ``seed``, one after the other: the calls do not wait for each other, as the columns do."""
    for at in range(which.shape[0]):
        column = hashes[which[at]]
        for i in range(seed.shape[0]):
            seed[i] = mix(seed[i], np.uint64(column[i]))


@kernel
def _addresses(
    hashes: Array,
    numbers: Array,
    flags: Array,
    error: Array,
    fingerprint: Array,
    fields: tuple[Any, ...],
    out: Array,
) -> None:
    app, system, where, operation, place, session, content = fields
    resource, owner, facts, reported = out[RESOURCE], out[APP], out[SESSION_FACTS], out[CONTENT_FACTS]
    found, about = out[RESOURCE_FACTS], out[STATEMENT_FACTS]
    owner[:] = 1
    _over(owner, hashes, app)
    for i in range(fingerprint.shape[0]):
        kind = np.uint64(0)
        for at in range(system.shape[0]):
            if kind == 0:
                kind = hashes[system[at], i]
        resource[i] = mix(mix(owner[i], kind), np.uint64(numbers[_PORT, i]))
        facts[i], found[i], reported[i] = 3, 6, 5 if error[i] else 4
        about[i] = fingerprint[i] + np.uint64(2)
    _over(resource, hashes, where)
    _over(found, hashes, place[0])
    _over(found, numbers, place[1])
    _over(facts, hashes, session[0])
    _over(facts, numbers, session[1])
    _over(facts, flags, session[2])
    _over(reported, hashes, content[0])
    _over(reported, numbers, content[1])
    _over(reported, flags, content[2])
    _over(about, hashes, operation)
    for i in range(fingerprint.shape[0]):
        if hashes[_NAME, i] != 0:  # a name that was given stands for system, endpoint and namespace
            resource[i] = mix(mix(np.uint64(2), hashes[_NAME, i]), owner[i])
        out[SESSION, i] = mix(resource[i], facts[i])
        out[STATEMENT, i] = mix(resource[i], fingerprint[i] + np.uint64(1))


def addresses(hashes: Array, numbers: Array, flags: Array, error: Array, fingerprint: Array) -> NDArray[np.uint64]:
    """Return the addresses of each call: uint64 [8, calls].

    Args:
        hashes: uint64 [texts, calls].
        numbers: int64 [numbers, calls].
        flags: int8 [flags, calls].
        error: bool [calls].
        fingerprint: uint64 [calls].
    """
    out = np.empty((8, fingerprint.shape[0]), np.uint64)
    _addresses(hashes, numbers, flags, error, fingerprint, _FIELDS, out)
    return out


@kernel
def places(
    resource: Array,
    app: Array,
    around: tuple[Array, Array, Array, Array],
    family: Array,
    reported: Array,
    fingerprint: Array,
    out: tuple[Array, Array, Array],
) -> None:
    """Write the addresses that depend on the call site, else on the statement's family.

    The caller is the call site over all resources. Without file and function it is the route, else the app.

    Args:
        around: Function, file, route and call path of each call. The path counts where there is no route.
    """
    site, both, caller = out
    function, file, route, path = around
    for i in range(resource.shape[0]):
        if reported[i]:
            site[i] = mix(mix(resource[i], function[i]), file[i])
            way = route[i] if route[i] != 0 else path[i]
            if way != 0:
                site[i] = mix(site[i], way)
        else:
            site[i] = mix(mix(resource[i], np.uint64(0x66616D696C79)), family[i])
        if function[i] != 0 or file[i] != 0:
            caller[i] = mix(mix(app[i], function[i]), file[i])
        else:
            caller[i] = mix(mix(app[i], np.uint64(0x726F757465)), route[i])
        both[i] = mix(site[i], fingerprint[i] + np.uint64(3))
