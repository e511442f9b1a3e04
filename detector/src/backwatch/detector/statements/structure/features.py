"""The features of a statement's difference from the nearest known one: their names and places in a vector."""

from typing import Any, Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.vocabulary import ordered_words

FEATURES: Final = ordered_words(
    """
    at-slot slot-replaced after-slot set-operation sub-select with stacked case or-added or-unknown and-added
    and-unknown constant-condition constant-comparison self-comparison column-for-value new-table-site
    new-table-resource new-function-site new-function-resource new-name-site new-name-resource trigrams-site
    trigrams-resource share-unknown tail-lost condition-removed unbalanced odd-adjacency order-limit-only
    list-column-only no-hunk hunks added removed prefix-share suffix-lost other-verb concatenation function-at-slot
    sub-select-at-slot all-known-site all-known-resource from-at-slot off-slot constant-arithmetic expression-in-list
    column-repeated slot-changed after-slot-unknown or-first write-added set-operation-after-slot sub-select-in-order
    """
)
"""Names of the features, in order. A *slot* is the place of a value: what stands there comes from outside."""
COUNT: Final = len(FEATURES)
F: Final = {name: at for at, name in enumerate(FEATURES)}
SLOT: Final = COUNT
"""Cell behind the features, which names the slot at which the statement differs; 0: none."""
WORDS_ONLY: Final = COUNT + 1
"""Cell that is 1 where nothing but words and values was added, as by ``'o'brien'``."""
ONLY_ITEMS: Final = 0.5
"""Its value where nothing but further values of a list was added, as by ``4, 7,``."""
FEATURE_CELLS: Final = COUNT + 2
COUNTED: Final = tuple(
    F[name]
    for name in ordered_words(
        """
        set-operation sub-select case or-added or-unknown and-added and-unknown constant-condition
        constant-comparison self-comparison new-table-site new-table-resource new-function-site
        new-function-resource new-name-site new-name-resource odd-adjacency condition-removed concatenation
        from-at-slot stacked constant-arithmetic expression-in-list column-repeated slot-changed after-slot-unknown
        """
    )
)
"""Features that count, up to ``MAX_COUNTED``; the others end at ``MAX_FEATURE``."""
MAX_COUNTED: Final = 2.0
MAX_FEATURE: Final = 6.0
_ADDING: Final = tuple(
    F[name]
    for name in ordered_words(
        "set-operation sub-select stacked with new-table-site new-table-resource new-function-resource write-added"
    )
)
"""Features of what search forms, imports and lists of any length never do."""


@kernel
def adds_nothing(features: Any) -> bool:
    """Return whether a difference adds no query, no statement, no table and no function: it is a filter or a list."""
    found = False
    for at in _ADDING:
        found = found or features[at] > 0.0
    return not found
