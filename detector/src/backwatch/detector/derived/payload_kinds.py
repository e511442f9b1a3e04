"""What a value is made of, as bits: its format and containers, and the names that it would load.

Every word of the closed vocabulary of formats has a bit of its own. Names share 64 bits, two for each, placed by the
installation's keyed hash: a set of them is a Bloom filter that an attacker cannot aim at. A class counts as its
package: an app that caches its own objects gets new ones all the time. A function counts by its full name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.payload.hostile_globals import is_hostile
from backwatch.collector.payload.pickle_search import NOTORIOUS
from backwatch.collector.payload.pickles import UNSEEN
from backwatch.detector.derived.cached_number import CachedNumber, join_hashes
from backwatch.detector.kernels.compiled import kernel

FORMS: Final = "backwatch.payload.forms.bits"
"""Format and containers of what the response holds, a bit for each; 0: none was recognised."""
WORDS: Final = "backwatch.payload.words.bits"
"""Names that it would load, as bits of a Bloom filter."""
CODE: Final = "backwatch.payload.code.bits"
"""``CODE_FORMAT`` where the format makes its reader run code, ``CODE_NAME`` where a name is of a module known from
exploits."""
WRITTEN_FORMS: Final = "backwatch.payload.written.forms.bits"
WRITTEN_WORDS: Final = "backwatch.payload.written.words.bits"
"""The same of what the app itself wrote."""
SHAPE: Final = "backwatch.payload.shape"
"""Keyed hash of the key or topic that the statement names, without the command; 0: the collector does not inspect
values of the service, because it is no cache, queue or object store."""
CODE_FORMAT: Final = 1
CODE_NAME: Final = 2
VOCABULARY: Final = (
    "pickle", "yaml", "jsonpickle", "jackson", "fastjson", "dotnet-json", "dotnet", "java", "php", "ruby",
    "node-serialize", "elf", "zstd", "lz4", "gzip", "zlib", "bzip2", "xz", "lzma", "zip", "npy", "msgpack", "base64",
    "hex", "json", "prefix",
)  # fmt: skip
"""Formats and containers. Words are added at the end only: detectors keep their bits."""
_OTHER: Final = 31
_BIT: Final = {word: at for at, word in enumerate(VOCABULARY)}
_CODE_FORMATS: Final = frozenset(VOCABULARY[1:12])
_SYSTEMS: Final = ("redis", "valkey", "memcached", "keydb", "dragonfly", "aws.dynamodb", "dynamodb", "s3", "sqs")
_DATA_PACKAGES: Final = frozenset(("numpy", "pandas", "scipy", "sklearn", "pyarrow", "polars", "torch", "joblib"))
"""Libraries whose data is rebuilt by their own functions, of which each kind of data has another."""

_BUILT_IN: Final = frozenset(("builtins", "__builtin__", "exceptions"))
"""Modules whose classes are exceptions, which results of tasks hold."""


@kernel
def _mark_inspected(db: Any, messaging: Any, own: Any, systems: Any, out: Any) -> None:
    for i in range(db.shape[0]):
        if messaging[i] != 0:
            out[i] = 1
        elif db[i] != 0 or own[i] != 0:
            for at in range(systems.shape[0]):
                if db[i] == systems[at] or own[i] == systems[at]:
                    out[i] = 1
                    break


def form_bits(words: str) -> int:
    """Return the bits of comma-separated formats and containers.

    >>> form_bits("pickle"), form_bits("pickle,yaml"), form_bits("")
    (1, 3, 0)
    """
    return sum({1 << _BIT.get(word, _OTHER) for word in words.split(",")[:32] if word})


def name_words(loaded: str) -> list[str]:
    """Return the words by which names are known: packages of classes and data, full names of functions.

    >>> name_words("shop.models.Basket,shop.models.Coupon,shop.jobs.run,numpy.ma.core.mask,?")
    ['shop', 'shop.jobs.run', 'numpy']
    """
    words: dict[str, None] = {}
    for name in loaded.split(",")[:32]:
        package, last = name.partition(".")[0], name.rpartition(".")[2]
        is_class = last[:1].isupper() or package in _DATA_PACKAGES
        if not name or name == UNSEEN or (is_class and package in _BUILT_IN):
            continue
        words[package if is_class and not _is_notorious(name) else name] = None
    return list(words)


def _is_notorious(name: str) -> bool:
    """Return whether a name is hostile, or of a module known from exploits; exceptions and data are not."""
    package, last = name.partition(".")[0], name.rpartition(".")[2]
    if is_hostile(name):
        return True
    return package in NOTORIOUS and package not in _DATA_PACKAGES and not (package in _BUILT_IN and last[:1].isupper())


class PayloadColumns:
    """Computes the columns of this module, batch by batch. A text is read once, as long as it is remembered.

    Args:
        hash_text: The installation's keyed hash.
    """

    def __init__(self, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text
        self._systems = np.array([hash_text(system.encode()) for system in _SYSTEMS], np.uint64)
        self._forms, self._words, self._code = CachedNumber(), CachedNumber(), CachedNumber()
        self._written_forms, self._written_words, self._shapes = CachedNumber(), CachedNumber(), CachedNumber()

    def columns(self, columns: Mapping[str, NDArray[Any]], text: Callable[[str, int], str]) -> dict[str, NDArray[Any]]:
        """Compute the columns.

        Args:
            columns: Keyed hashes of texts by contract name.
            text: Returns a fact's text by its name and a row.
        """
        format_, loaded, written = (
            columns[name] for name in (names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS, names.PAYLOAD_WRITTEN)
        )
        inspected = np.zeros(format_.shape[0], np.int8)
        own = columns[names.SYSTEM]
        _mark_inspected(columns[names.DB_SYSTEM], columns[names.MESSAGING_SYSTEM], own, self._systems, inspected)
        kind = join_hashes(format_, columns[names.PAYLOAD_CONTAINERS])
        both = np.where(format_ != 0, join_hashes(format_, loaded), loaded)
        shaped = np.where(inspected != 0, columns[names.STATEMENT], np.uint64(0))
        return {
            FORMS: self._forms.of(kind, lambda row: self._form_bits(text, row), 0),
            WORDS: self._words.of(loaded, lambda row: self._word_bits(text(names.PAYLOAD_GLOBALS, row)), 0),
            CODE: self._code.of(both, lambda row: self._code_bits(text, row), 0),
            WRITTEN_FORMS: self._written_forms.of(written, lambda row: self._written(text, row)[0], 0),
            WRITTEN_WORDS: self._written_words.of(written, lambda row: self._written(text, row)[1], 0),
            SHAPE: self._shapes.of(shaped, lambda row: self._shape(text(names.STATEMENT, row)), 0),
        }

    def _form_bits(self, text: Callable[[str, int], str], row: int) -> int:
        return form_bits(text(names.PAYLOAD_FORMAT, row)) | form_bits(text(names.PAYLOAD_CONTAINERS, row))

    def _word_bits(self, loaded: str) -> int:
        bits = 0
        for word in name_words(loaded):
            hashed = self._hash(word.encode())
            bits |= 1 << (hashed >> 8 & 63) | 1 << (hashed >> 16 & 63)
        return bits - (1 << 64) if bits >> 63 else bits

    def _code_bits(self, text: Callable[[str, int], str], row: int) -> int:
        format_ = CODE_FORMAT if text(names.PAYLOAD_FORMAT, row) in _CODE_FORMATS else 0
        loaded = text(names.PAYLOAD_GLOBALS, row).split(",")
        return format_ | (CODE_NAME if any(_is_notorious(name) for name in loaded if name != UNSEEN) else 0)

    def _written(self, text: Callable[[str, int], str], row: int) -> tuple[int, int]:
        forms, _, loaded = text(names.PAYLOAD_WRITTEN, row).partition(",")
        return form_bits(forms.replace("+", ",")), self._word_bits(loaded)

    def _shape(self, statement: str) -> int:
        """Return the hash of the key or topic: the second word, which a command's read and write share."""
        hashed = self._hash(" ".join(statement[:1_024].split(" ", 2)[1:2]).encode())
        return (hashed & 0x7FFFFFFF) | 1
