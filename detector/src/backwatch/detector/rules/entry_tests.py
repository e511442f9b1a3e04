"""The predicates that read one domain, answered for one of its entries at once.

A flood of statements that are all new must not cost a walk over all rules for each of them. So all patterns on one
text are looked for in one pass, by google-re2's sets, and only the conjuncts that hang on what was found are read.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import re2
from numpy.typing import NDArray

from backwatch.detector.rules import predicates as p

TOGETHER: Final = 256
"""Patterns that are looked for in one pass."""
MEMORY: Final = 4 << 20
"""Bytes that one pass's automaton may take; hostile text can fill it, and no more."""


_Term = int | tuple[str, tuple["_Term", ...]]
"""A comparison's number, or ``not``, ``every`` or ``some`` of terms."""
_Passed = set[int] | frozenset[int]


class EntryTests:
    """What conjuncts ask of one domain.

    Args:
        terms: One per conjunct; ``None``: it asks nothing.
    """

    def __init__(self, terms: Sequence[p.Term | None]) -> None:
        numbered = _Numbered()
        asking: dict[_Term, list[int]] = {}
        for at, term in enumerate(terms):
            if term is not None:
                asking.setdefault(numbered.term(term), []).append(at)
        self._asked = {field: _Asked(found) for field, found in numbered.fields.items()}
        self._absent = frozenset[int]().union(*(one.absent for one in self._asked.values()))
        self._terms = [(term, np.array(conjuncts, np.int32)) for term, conjuncts in asking.items()]
        self._base = np.ones(len(terms), np.bool_)
        for term, conjuncts in self._terms:
            self._base[conjuncts] = _holds(term, self._absent)
        self._watching = self._watched()

    def passing(self, facts: Mapping[str, p.Value]) -> NDArray[np.bool_]:
        """Whose terms hold for these facts, as ``predicates.holds`` says it; one per conjunct."""
        return self.holding(self.telling(facts))

    def telling(self, facts: Mapping[str, p.Value]) -> frozenset[int]:
        """The comparisons that say something else of these facts than of none: whose terms hold follows from them."""
        passed: set[int] = set()
        for field, asked in self._asked.items():
            value = facts.get(field)
            passed |= asked.absent if value is None else asked.passing(value)
        return frozenset(passed ^ self._absent)

    def holding(self, telling: frozenset[int]) -> NDArray[np.bool_]:
        """Whose terms hold where these comparisons tell; one per conjunct."""
        passed, out = telling ^ self._absent, self._base.copy()
        for at in {one for number in telling for one in self._watching.get(number, ())}:
            term, conjuncts = self._terms[at]
            out[conjuncts] = _holds(term, passed)
        return out

    def _watched(self) -> dict[int, list[int]]:
        """Comparison to the terms that must be read where it says something else than of an absent field."""
        used = Counter(number for term, _ in self._terms for number in _numbers(term))
        found: dict[int, list[int]] = {}
        for at, (term, _) in enumerate(self._terms):
            for number in _numbers(term) if _holds(term, self._absent) else self._hinge(term, used):
                found.setdefault(number, []).append(at)
        return found

    def _hinge(self, term: _Term, used: Mapping[int, int]) -> set[int]:
        """Comparisons without one of which a term that fails where all is absent goes on failing; the rarest ones."""
        match term:
            case ("every", terms):
                failing = (self._hinge(one, used) for one in terms if not _holds(one, self._absent))
                return min(failing, key=lambda found: sum(used[number] for number in found))
            case ("some", terms):
                return set[int]().union(*(self._hinge(one, used) for one in terms))
            case _:
                return _numbers(term)


class _Numbered:
    """Comparisons and their numbers; equal ones on patterns have the same.

    Attributes:
        fields: Field to its comparisons.
    """

    def __init__(self) -> None:
        self.fields: dict[str, list[tuple[int, p.FieldTest]]] = {}
        self._known: dict[object, int] = {}

    def term(self, term: p.Term) -> _Term:
        """The term with numbers for comparisons."""
        match term:
            case p.FieldTest(field, passes):
                same = (field, passes.regex, passes.lowered) if isinstance(passes, p.Pattern) else (field, passes)
                if same not in self._known:
                    self._known[same] = len(self._known)
                    self.fields.setdefault(field, []).append((self._known[same], term))
                return self._known[same]
            case p.Not(inner):
                return "not", (self.term(inner),)
            case p.AllOf(terms):
                return "every", tuple(self.term(one) for one in terms)
            case p.AnyOf(terms):
                return "some", tuple(self.term(one) for one in terms)


class _Asked:
    """The comparisons of one field.

    Attributes:
        absent: Those that pass where the field is absent.
    """

    def __init__(self, asked: Iterable[tuple[int, p.FieldTest]]) -> None:
        self.absent = frozenset(number for number, one in asked if one.holds(None))
        self._plain: list[tuple[int, p.FieldTest]] = []
        kinds: dict[bool, list[tuple[int, p.FieldTest, str]]] = {False: [], True: []}
        for number, one in asked:
            if isinstance(one.holds, p.Pattern):
                kinds[one.holds.lowered].append((number, one, one.holds.regex))
            else:
                self._plain.append((number, one))
        self._passes = {
            lowered: [_Pass(found[at : at + TOGETHER]) for at in range(0, len(found), TOGETHER)]
            for lowered, found in kinds.items()
            if found
        }

    def passing(self, value: p.Value) -> set[int]:
        """The numbers of those that pass."""
        found = {number for number, one in self._plain if one.holds(value)}
        for lowered, passes in self._passes.items():
            text = (str(value).lower() if lowered else str(value)).encode(errors="replace")
            for one in passes:
                found.update(one.passing(value, text))
        return found


class _Pass:
    """Patterns that are looked for together.

    A set that runs out of memory finds nothing and does not say so. A pattern that is in every text tells: where it
    is not found, the patterns are asked one by one.
    """

    def __init__(self, asked: Sequence[tuple[int, p.FieldTest, str]]) -> None:
        self._asked = asked
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY
        self._set = re2.Set.SearchSet(options)
        try:
            for _, _, regex in asked:
                self._set.Add(regex)
            self._everywhere: int = self._set.Add("")
            self._set.Compile()
        except (re2.error, UnicodeEncodeError):
            self._set = None

    def passing(self, value: p.Value, text: bytes) -> Iterator[int]:
        """The numbers of those that pass."""
        found: Sequence[int] = (self._set.Match(text) or ()) if self._set is not None else ()
        if self._set is None or self._everywhere not in found:
            yield from (number for number, one, _ in self._asked if one.holds(value))
        else:
            yield from (self._asked[at][0] for at in found if at != self._everywhere)


def _holds(term: _Term, passed: _Passed) -> bool:
    match term:
        case ("not", terms):
            return not _holds(terms[0], passed)
        case ("every", terms):
            return all(_holds(one, passed) for one in terms)
        case ("some", terms):
            return any(_holds(one, passed) for one in terms)
        case _:
            return term in passed


def _numbers(term: _Term) -> set[int]:
    if isinstance(term, int):
        return {term}
    return set[int]().union(*(_numbers(one) for one in term[1]))
