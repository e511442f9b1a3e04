"""The cached result of a skeleton equals the scanner's result for each of its texts."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backwatch.collector.statements import scan as module
from backwatch.collector.statements import spec
from backwatch.collector.statements.scan import scan, scan_cached, scan_new
from backwatch.collector.statements.skeleton import join_pieces, split_pieces
from tests.collector.statements.texts import PIECES, dialects, texts

MORE = (
    "0", "2", "1=1", "7=7", "1 = 1", "'1'='1'", "OR ", "AND ", " UNION SELECT ", "randomblob(", "sleep(", "char(",
    "0x4141414141", "x'4141414141'", "LIMIT ", "WHERE ", "WHEN ", "cast(", "'a'b", "'a'\"b\"", "_utf8'", "&", "-1",
    "1.", "1.a", ".1", "SELECT ", "ALTER USER u IDENTIFIED BY ", "ATTACH 'f' AS x KEY ", "COPY t FROM 'f'", "a1", "1a",
)  # fmt: skip
FRAMES = (
    "SELECT a FROM t WHERE x = {} AND y IN ({},{}) OR {}={} LIMIT {}",
    "INSERT INTO t VALUES ({}, {}),({},{})",
    "UPDATE t SET a={} WHERE {} -- {}",
)
_part = st.tuples(st.sampled_from(PIECES + MORE), st.sampled_from(("", "", " "))).map("".join)
framed = st.builds(
    lambda frame, parts: frame.replace("{}", "%s") % tuple(parts[: frame.count("{}")]),
    st.sampled_from([frame.replace("%", "%%") for frame in FRAMES]),
    st.lists(_part, min_size=6, max_size=6),
)
mixed = st.one_of(texts, st.lists(_part, max_size=20).map("".join), framed)


@settings(deadline=None, max_examples=600)
@given(mixed, dialects)
@example("SELECT randomblob(100000000)", "sqlite")
@example("a\0'b'\0", "mysql")
def test_a_cached_skeleton_gives_the_same_result_as_a_scan(text: str, dialect: str) -> None:
    assert scan_cached(text, dialect) == scan_new(text, dialect) == scan(text, dialect)


@settings(deadline=None, max_examples=600)
@given(mixed, dialects)
def test_representative_of_a_skeleton_has_that_skeleton(text: str, dialect: str) -> None:
    found = split_pieces(text, dialect)
    assert split_pieces(join_pieces(found, dialect), dialect) == found


@pytest.mark.data
@pytest.mark.parametrize("dialect", spec.DIALECTS)
def test_the_labelled_statements_from_the_cache_equal_a_scan(data_folder: Path, dialect: str) -> None:
    for path in sorted((data_folder / "queries").glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            known = sorted({str(json.loads(line).get("text", "")) for line in lines})
        for text in known[:: max(1, len(known) // 1_500)]:
            assert scan_new(text, dialect) == scan(text, dialect)


def test_texts_that_differ_in_plain_literals_share_one_scan() -> None:
    first = scan_new("SELECT a FROM only_here WHERE b = 'ann' AND c > 17 LIMIT 70", "postgresql")
    assert scan_new("SELECT a FROM only_here WHERE b = 'o''bob' AND c > 4.5 LIMIT 9000", "postgresql") is first


@pytest.mark.parametrize("injected", ["1 or 7=7", "1 -- x", "1/**/", "(1)", "'a' 'b'", "1; drop table t", "0x31", "-1"])
def test_an_injection_has_a_skeleton_of_its_own(injected: str) -> None:
    frame = "SELECT a FROM t WHERE b = {} LIMIT 5"
    assert split_pieces(frame.format(injected), "mysql") != split_pieces(frame.format("12"), "mysql")


def test_the_caches_stay_bounded() -> None:
    for number in range(module.CACHE_ENTRIES + 10):
        text = f"SELECT c{number} FROM t WHERE x = 'it''s'"
        assert scan_cached(text, "sqlite") is scan_cached(text, "sqlite")
    assert len(module._texts) <= module.CACHE_ENTRIES
    assert len(module._skeletons) <= module.CACHE_ENTRIES


def test_no_text_is_kept() -> None:
    scan_cached("SELECT a FROM kept WHERE b = 's3cret'", "sqlite")
    assert "s3cret" not in f"{module._texts}{module._skeletons}"
