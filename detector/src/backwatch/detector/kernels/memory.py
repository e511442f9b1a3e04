"""Reads and writes by address, for the kernels of the decoder and of the canonical text only.

A kernel that passes arrays on to the next one pays for each more than an attribute costs to read, and pasting
everything into one function takes minutes to compile. Addresses are plain numbers: the decoder reads 2.7 million
spans a second and core this way, six times as many, and compiles in seconds.

Addresses are not checked. So every position that comes from the bytes is compared with its message's end before it is
used (``protobuf.py``), and every cell is a constant or comes from a fixed table. A test reads hostile records that end
at an unreadable page.
"""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
Generator = tuple[Any, Any]


def _load8(typing: Any, address: Any) -> Generator:  # noqa: ARG001  Numba's signature
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], _BYTE.as_pointer())
        return builder.zext(builder.load(place, align=1), _WORD)

    return types.int64(types.int64), generate


def _load64(typing: Any, address: Any) -> Generator:  # noqa: ARG001
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], _WORD.as_pointer()), align=1)

    return types.int64(types.int64), generate


def _store8(typing: Any, address: Any, value: Any) -> Generator:  # noqa: ARG001
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = builder.trunc(arguments[1], _BYTE)
        builder.store(byte, builder.inttoptr(arguments[0], _BYTE.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _store64(typing: Any, address: Any, value: Any) -> Generator:  # noqa: ARG001
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


load8 = cast("Callable[[int], int]", intrinsic(_load8))
"""The byte at an address."""
load64 = cast("Callable[[int], int]", intrinsic(_load64))
"""Eight bytes at an address, in the machine's order (little-endian), as a signed number."""
store8 = cast("Callable[[int, int], None]", intrinsic(_store8))
"""Writes a number's lowest byte at an address."""
store64 = cast("Callable[[int, int], None]", intrinsic(_store64))
"""Writes a signed number as eight bytes at an address."""


@kernel
def address_of(array: NDArray[Any]) -> int:
    """Return the address of an array's first element.

    The array must outlive the number.
    """
    return int(np.int64(array.ctypes.data))
