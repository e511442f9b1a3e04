"""The corpus matches its description, and the finder finds every planted canary."""

import base64
import logging
from collections import Counter
from urllib.parse import quote

import pytest

from tests.leaks.corpus import MARK, Canary, Entry, entries, plant
from tests.leaks.finder import Finder, capture_logs

ENTRY = Entry("postgresql", "sql", "SELECT '⟦⟧'", "nowhere:1")
CANARIES = [canary for one in plant(ENTRY) for canary in one.canaries]


def test_the_corpus_has_more_than_enough_of_every_kind() -> None:
    kinds = Counter((entry.system, entry.way) for entry in entries())
    assert len({entry.text for entry in entries()}) > 700
    assert len(kinds) >= 25
    assert min(kinds.values()) >= 4


def test_nearly_every_entry_carries_a_canary_and_no_two_the_same() -> None:
    without = [entry for entry in entries() if not MARK.search(entry.text)]
    assert len(without) <= 1
    canaries = [canary.text for entry in entries() for one in plant(entry) for canary in one.canaries]
    assert len(canaries) == len(set(canaries)) > 3_000


GUISES = {
    "plain": lambda text: text.encode(),
    "upper case": lambda text: text.upper().encode(),
    "lower case": lambda text: text.lower().encode(),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper().encode(),
    "base 64": lambda text: base64.b64encode(text.encode()),
    "base 64, behind one": lambda text: base64.b64encode(b"a" + text.encode()),
    "base 64, behind two": lambda text: base64.urlsafe_b64encode(b"ab" + text.encode()),
    "URL": lambda text: quote(text, safe="").encode(),
    "URL, every character": lambda text: "".join(f"%{one:02x}" for one in text.encode()).encode(),
    "its first characters": lambda text: text[:6].encode(),
}  # fmt: skip


@pytest.mark.parametrize("guise", GUISES)
@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.shape)
def test_a_canary_is_found_in_every_guise(canary: Canary, guise: str) -> None:
    finder = Finder(CANARIES)
    for part in canary.parts:
        assert [one for one, _ in finder.find(b"x \x00 " + GUISES[guise](part) + b" \xff y")] == [canary]


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.shape)
def test_any_six_characters_of_a_canary_are_found(canary: Canary) -> None:
    finder = Finder(CANARIES)
    for part in canary.parts:
        for start in range(len(part) - 5):
            assert finder.find(f"?{part[start : start + 6]}?")
        assert not finder.find(f"?{part[:5]}?")


def test_log_output_is_searched_with_its_traceback() -> None:
    secret = CANARIES[0].text
    with capture_logs() as lines:
        logging.getLogger("backwatch").debug("an %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            logging.getLogger("backwatch.part").info("failed", exc_info=True)
    finder = Finder(CANARIES)
    assert [bool(finder.find(line)) for line in lines] == [True, True]
