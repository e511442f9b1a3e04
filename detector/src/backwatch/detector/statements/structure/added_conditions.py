"""Features of added conditions: those that depend on no row, and columns compared with themselves."""

from typing import Any, Final

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.conditions import compares, ends_condition, starts_condition
from backwatch.detector.statements.structure.features import F
from backwatch.detector.statements.structure.positions import code_at
from backwatch.detector.statements.structure.vocabulary import (
    CLOSING,
    DOT,
    OPENING,
    SEMICOLON,
    VALUE,
    K,
    is_constant,
    is_name,
    is_operator,
)

_AND: Final = K["AND"]
_NOT: Final = K["NOT"]
_IS: Final = K["IS"]
_BETWEEN: Final = K["BETWEEN"]
_WHERE: Final = K["WHERE"]
_ORDER: Final = K["ORDER"]
_GROUP: Final = K["GROUP"]
_LIMIT: Final = K["LIMIT"]
_CONDITION: Final = F["constant-condition"]
_COMPARISON: Final = F["constant-comparison"]
_SELF: Final = F["self-comparison"]
_ARITHMETIC: Final = F["constant-arithmetic"]


@kernel
def _is_builders(codes: Any, i: int, count: int) -> bool:
    """Return whether a constant condition is the one that query builders begin with: ``WHERE 1 = 1 AND …``."""
    end = i + 1
    if compares(code_at(codes, end, count)) and is_constant(code_at(codes, end + 1, count)):
        end += 2
    code = code_at(codes, end, count)
    return code == 0 or code == _AND or code == _ORDER or code == _GROUP or code == _LIMIT or code == SEMICOLON


@kernel
def describe_conditions(codes: Any, count: int, added: Any, f: Any) -> None:
    """Features of added conditions that depend on no row, or compare a column with itself."""
    between = 0  # 2 behind BETWEEN, 1 behind the AND that belongs to it
    for i in range(count):
        code = int(codes[i])
        if code == _BETWEEN:
            between = 2
        elif code == _AND:
            between = max(between - 1, 0)
        if not added[i]:
            continue
        before, after = code_at(codes, i - 1, count), code_at(codes, i + 1, count)
        if before == _WHERE and is_constant(code) and _is_builders(codes, i, count):
            continue
        alone = starts_condition(before) and ends_condition(after) and not (between == 1 and before == _AND)
        if is_constant(code):
            if alone and not (before == _NOT and code_at(codes, i - 2, count) == _IS):
                f[_CONDITION] += 1.0
            k = i + 1
            if after == _NOT:
                k += 1
            if compares(code_at(codes, k, count)) and not (is_operator(before) or before == CLOSING):
                k += 1
                if code_at(codes, k, count) == _NOT:
                    k += 1
                if code_at(codes, k, count) == OPENING:
                    k += 1
                if is_constant(code_at(codes, k, count)):
                    f[_COMPARISON] += 1.0
            if is_operator(before) and code_at(codes, i - 2, count) == VALUE and not compares(before):
                f[_ARITHMETIC] += 1.0
        elif is_name(code):
            if alone:
                f[_CONDITION] += 1.0
            if compares(after) and code_at(codes, i + 2, count) == code and code_at(codes, i + 3, count) != DOT:
                f[_SELF] += 1.0
