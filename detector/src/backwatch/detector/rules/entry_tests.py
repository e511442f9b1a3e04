"""The predicates that read one domain, evaluated together for each of its entries.

A flood of new statements must not cost a walk over all rules for each of them. So one pass of a google-re2 set searches
all patterns on a text, and only the conjuncts that depend on the matches are evaluated.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import re2
from numpy.typing import NDArray

from backwatch.detector.rules import predicates as p

MAX_PATTERNS_PER_SET: Final = 256
"""Patterns that one pass searches."""
MAX_SET_BYTES: Final = 4 << 20
"""Memory of one set's automaton; hostile text can fill it, but not exceed it."""


_Term = int | tuple[str, tuple["_Term", ...]]
"""The number of a comparison, or ``not``, ``every`` or ``some`` of terms."""
_Passed = set[int] | frozenset[int]


class EntryTests:
    """The tests of all conjuncts on one domain.

    Args:
        terms: One per conjunct; ``None``: it does not read the domain.
    """

    def __init__(self, terms: Sequence[p.Term | None]) -> None:
        numbering = _Numbering()
        by_term: dict[_Term, list[int]] = {}
        for at, term in enumerate(terms):
            if term is not None:
                by_term.setdefault(numbering.number_term(term), []).append(at)
        self._field_tests = {field: _FieldTests(found) for field, found in numbering.fields.items()}
        self._absent = frozenset[int]().union(*(tests.absent for tests in self._field_tests.values()))
        self._terms = [(term, np.array(conjuncts, np.int32)) for term, conjuncts in by_term.items()]
        self._base = np.ones(len(terms), np.bool_)
        for term, conjuncts in self._terms:
            self._base[conjuncts] = _holds(term, self._absent)
        self._affected = self._find_affected()

    def evaluate_facts(self, facts: Mapping[str, p.Value]) -> NDArray[np.bool_]:
        """Return whether each conjunct's term holds for these facts, as ``predicates.is_satisfied`` does."""
        return self.evaluate(self.find_deciding(facts))

    def find_deciding(self, facts: Mapping[str, p.Value]) -> frozenset[int]:
        """Return the comparisons whose result for these facts differs from their result for absent ones."""
        passed: set[int] = set()
        for field, tests in self._field_tests.items():
            value = facts.get(field)
            passed |= tests.absent if value is None else tests.find_passing(value)
        return frozenset(passed ^ self._absent)

    def evaluate(self, deciding: frozenset[int]) -> NDArray[np.bool_]:
        """Return whether each conjunct's term holds where these comparisons differ."""
        passed, out = deciding ^ self._absent, self._base.copy()
        for at in {term for number in deciding for term in self._affected.get(number, ())}:
            term, conjuncts = self._terms[at]
            out[conjuncts] = _holds(term, passed)
        return out

    def _find_affected(self) -> dict[int, list[int]]:
        """Map each comparison to the terms that depend on it where it differs from an absent field."""
        used = Counter(number for term, _ in self._terms for number in _numbers(term))
        found: dict[int, list[int]] = {}
        for at, (term, _) in enumerate(self._terms):
            for number in _numbers(term) if _holds(term, self._absent) else self._hinge(term, used):
                found.setdefault(number, []).append(at)
        return found

    def _hinge(self, term: _Term, used: Mapping[int, int]) -> set[int]:
        """Return the rarest comparisons of which one must differ for a term to hold that fails where all is absent."""
        match term:
            case ("every", terms):
                failing = (self._hinge(part, used) for part in terms if not _holds(part, self._absent))
                return min(failing, key=lambda found: sum(used[number] for number in found))
            case ("some", terms):
                return set[int]().union(*(self._hinge(part, used) for part in terms))
            case _:
                return _numbers(term)


class _Numbering:
    """Numbers for comparisons; equal comparisons with patterns share one.

    Attributes:
        fields: Field to its comparisons.
    """

    def __init__(self) -> None:
        self.fields: dict[str, list[tuple[int, p.FieldTest]]] = {}
        self._known: dict[object, int] = {}

    def number_term(self, term: p.Term) -> _Term:
        """Return the term with numbers in place of comparisons."""
        match term:
            case p.FieldTest(field, passes):
                same = (field, passes.regex, passes.lowered) if isinstance(passes, p.Pattern) else (field, passes)
                if same not in self._known:
                    self._known[same] = len(self._known)
                    self.fields.setdefault(field, []).append((self._known[same], term))
                return self._known[same]
            case p.Not(inner):
                return "not", (self.number_term(inner),)
            case p.AllOf(terms):
                return "every", tuple(self.number_term(part) for part in terms)
            case p.AnyOf(terms):
                return "some", tuple(self.number_term(part) for part in terms)


class _FieldTests:
    """The comparisons of one field.

    Attributes:
        absent: The comparisons that pass where the field is absent.
    """

    def __init__(self, tests: Iterable[tuple[int, p.FieldTest]]) -> None:
        self.absent = frozenset(number for number, test in tests if test.passes(None))
        self._plain: list[tuple[int, p.FieldTest]] = []
        kinds: dict[bool, list[tuple[int, p.FieldTest, str]]] = {False: [], True: []}
        for number, test in tests:
            if isinstance(test.passes, p.Pattern):
                kinds[test.passes.lowered].append((number, test, test.passes.regex))
            else:
                self._plain.append((number, test))
        self._pattern_sets = {
            lowered: [
                _PatternSet(found[at : at + MAX_PATTERNS_PER_SET]) for at in range(0, len(found), MAX_PATTERNS_PER_SET)
            ]
            for lowered, found in kinds.items()
            if found
        }

    def find_passing(self, value: p.Value) -> set[int]:
        """Return the numbers of the comparisons that pass."""
        found = {number for number, test in self._plain if test.passes(value)}
        for lowered, sets in self._pattern_sets.items():
            text = (str(value).lower() if lowered else str(value)).encode(errors="replace")
            for patterns in sets:
                found.update(patterns.find_passing(value, text))
        return found


class _PatternSet:
    """Patterns that one pass searches together.

    A set that runs out of memory finds nothing and reports no error. A pattern that matches every text reveals this:
    where it is not found, the patterns are tested one by one.
    """

    def __init__(self, tests: Sequence[tuple[int, p.FieldTest, str]]) -> None:
        self._tests = tests
        options = re2.Options()
        options.log_errors = False
        options.max_mem = MAX_SET_BYTES
        self._set = re2.Set.SearchSet(options)
        try:
            for _, _, regex in tests:
                self._set.Add(regex)
            self._everywhere: int = self._set.Add("")
            self._set.Compile()
        except (re2.error, UnicodeEncodeError):
            self._set = None

    def find_passing(self, value: p.Value, text: bytes) -> Iterator[int]:
        """Yield the numbers of the comparisons that pass."""
        found: Sequence[int] = (self._set.Match(text) or ()) if self._set is not None else ()
        if self._set is None or self._everywhere not in found:
            yield from (number for number, test, _ in self._tests if test.passes(value))
        else:
            yield from (self._tests[at][0] for at in found if at != self._everywhere)


def _holds(term: _Term, passed: _Passed) -> bool:
    match term:
        case ("not", terms):
            return not _holds(terms[0], passed)
        case ("every", terms):
            return all(_holds(part, passed) for part in terms)
        case ("some", terms):
            return any(_holds(part, passed) for part in terms)
        case _:
            return term in passed


def _numbers(term: _Term) -> set[int]:
    if isinstance(term, int):
        return {term}
    return set[int]().union(*(_numbers(part) for part in term[1]))
