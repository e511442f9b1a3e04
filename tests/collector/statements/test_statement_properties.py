"""Properties of the canonical text of every text, in every dialect."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backwatch.collector.names import SIGNS
from backwatch.collector.statements import spec
from backwatch.collector.statements.canonical import canonicalize, redact
from backwatch.collector.statements.scan import scan
from backwatch.collector.statements.tokens import tokenize
from tests.collector.statements.texts import dialects, long_texts, texts

many = settings(deadline=None, max_examples=300)
few = settings(deadline=None, max_examples=25)

LITERALS = {
    "postgresql": (
        "'{}'",
        "E'{}'",
        "N'{}'",
        "U&'{}'",
        "$${}$$",
        "$q${}$q$",
        "B'{}'",
        "\u2018{}\u2019",
        "\u201c{}\u201d",
        "'a''{}'",
        r"E'a\'{}'",
    ),
    "mysql": ("'{}'", '"{}"', "N'{}'", "_utf8'{}'", "x'{}'", "\u2018{}\u2019", r"'a\'{}'", r'"a\"{}"'),
    "sqlite": ("'{}'", "x'{}'", "'a''{}'", "\u201c{}\u201d"),
    "mssql": ("'{}'", "N'{}'", "'a''{}'", "\uff07{}\uff07"),
    "other": ("'{}'", "q'[it's {}]'", "nq'!{}!'", "N'{}'", "'a''{}'"),
}
FRAMES = (
    "SELECT a FROM t WHERE x = {}",
    "SELECT {} FROM t",
    "INSERT INTO t VALUES (1, {}), ({}, 2)",
    "UPDATE t SET a = {}, b = 2",
    "SELECT f({}, {}) FROM t /* {} */",
    "SELECT a FROM t WHERE b LIKE {} OR c IN ({}, {}) -- {}",
    "CALL p({})",
    "SET x = {}",
)


@many
@given(texts, dialects)
def test_the_redacted_text_has_the_same_canonical_text(text: str, dialect: str) -> None:
    assert canonicalize(text, dialect) == canonicalize(redact(text, dialect), dialect)


@many
@given(texts, dialects)
@example("create password …;", "other")
@example('="".5', "postgresql")
@example("[] ]", "mssql")
def test_canonical_and_redacted_forms_are_idempotent(text: str, dialect: str) -> None:
    assert canonicalize(canonicalize(text, dialect), dialect) == canonicalize(text, dialect)
    assert redact(redact(text, dialect), dialect) == redact(text, dialect)


@few
@given(long_texts, dialects)
def test_a_cut_text_is_bounded_and_not_cut_again(text: str, dialect: str) -> None:
    short = redact(text, dialect)
    assert len(short.encode()) <= spec.SENT_BYTES
    assert redact(short, dialect) == short
    assert canonicalize(text, dialect) == canonicalize(short, dialect)


@many
@given(texts, dialects)
def test_tokens_are_consecutive_inside_the_text(text: str, dialect: str) -> None:
    last = 0
    for kind, start, end in tokenize(text, dialect):
        assert 0 < kind < spec.END
        assert last <= start < end <= len(text)
        last = end


@many
@given(st.text(max_size=80), dialects)
def test_the_scanner_accepts_any_text_and_its_result_can_be_sent(text: str, dialect: str) -> None:
    scanned = scan(text, dialect)
    scanned.redacted.encode()
    assert "\0" not in scanned.redacted
    assert list(scanned.signs) == [sign for sign in SIGNS if sign in scanned.signs]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([(d, form) for d, forms in LITERALS.items() for form in forms]),
    st.sampled_from(FRAMES),
    st.sampled_from(("s3cret", "5up3rs3cret", "73656372657421s3cret", "s3cret -- x", "s3cret /* x")),
)
def test_no_literal_survives(literal: tuple[str, str], frame: str, value: str) -> None:
    dialect, form = literal
    text = frame.replace("{}", form.replace("{}", value))
    assert "3cret" not in redact(text, dialect)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([(d, form) for d, forms in LITERALS.items() for form in forms]),
    st.lists(st.sampled_from(("s3cret", "two words s3cret", "s3cret /* x", "s3cret -- y", "s3cret, a")), min_size=1),
    st.lists(st.sampled_from(("({1},{0},now())", "a = {0}", "f({0}, b) <> g(c)", "{0}")), min_size=1, max_size=3),
    st.sampled_from((60, 150, 600, 4_000, 70_000)),
    st.sampled_from((9_000, 40_000, 64_000, 70_000, 200_000)),
)
def test_no_literal_of_a_long_statement_survives(
    literal: tuple[str, str], values: list[str], parts: list[str], longest: int, length: int
) -> None:
    dialect, form = literal
    text, number = "SELECT a FROM t WHERE (b", 0
    while len(text) < length:
        inside = (values[number % len(values)] + " ") * (1 + number * 37 % (longest // 8))
        text += ", " + parts[number % len(parts)].format(form.replace("{}", inside), number)
        number += 1
    scanned = scan(text, dialect)
    assert "3cret" not in scanned.redacted
    assert "words" not in scanned.redacted
    assert "unbalanced-quote" not in scanned.signs
    assert scan(scanned.redacted, dialect).redacted == scanned.redacted


@pytest.mark.parametrize(
    "opening", ["$$a$$ <> f(a) AND ", "/* /* b */ */ ", "f(a) <> g(b) AND ", "E'b' = 'it''s' AND "]
)
def test_the_tail_of_a_long_statement_begins_with_a_token(opening: str) -> None:
    scanned = scan("SELECT a FROM t WHERE " + opening * (50_000 // len(opening)) + "'x' OR 1=1 -- ", "postgresql")
    assert scanned.cut
    assert "comment-tail" in scanned.signs


VALUES = (
    "SET app.x TO {}",
    "SET LOCAL x = one, {}, three.{}",
    "ALTER ROLE ann SET app.x TO {}",
    "ALTER SESSION SET a = 'x' b = {} c = y",
    "SET a = b, c = f({}, -{}), d = {}+{}/{}==",
    "EXECUTE p({}, f({}), {}.{}) ",
    'SELECT 1; EXECUTE p.q ({} {}, "{}")',
)


@settings(deadline=None, max_examples=200)
@given(
    dialects,
    st.sampled_from(VALUES),
    st.from_regex(r"[a-z]{1,3}3cret[a-z0-9]{0,3}", fullmatch=True),
    st.sampled_from(("", " ", "\t", "/* x */")),
)
def test_words_given_to_a_setting_or_a_plan_are_redacted(dialect: str, frame: str, word: str, gap: str) -> None:
    scanned = redact(frame.replace("{}", gap + word + gap), dialect)
    assert "3cret" not in scanned
    assert scanned.startswith(frame[:3])


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(sorted(spec.DOUBTFUL)),
    st.sampled_from(("SELECT {}", "SELECT f(a, {}) FROM t", "SELECT a FROM t WHERE b OR {}", "CALL p({}, {})")),
    st.from_regex(r"[a-z]{0,3}3cret [a-z0-9]{0,3}", fullmatch=True),
)
def test_no_sentence_in_double_quotes_survives_where_no_name_is_due(dialect: str, frame: str, text: str) -> None:
    assert "3cret" not in redact(frame.replace("{}", f'"{text}"'), dialect)


@pytest.mark.parametrize("dialect", sorted(spec.DIALECTS))
@pytest.mark.parametrize(
    "text",
    [
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET NAMES utf8mb4",
        "SET a = DEFAULT",
        "SET SESSION a = ON",
        "SET a = f(?)",
        "SET a = (SELECT b FROM c)",
        "SET NOCOUNT ON UPDATE t SET a = b",
        "SET NOCOUNT ON SELECT x = b FROM t",
        "UPDATE t SET a = b WHERE c = d",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT b",
        "ALTER DATABASE a CHARACTER SET = b",
        "CREATE TRIGGER a BEFORE UPDATE ON b FOR EACH ROW SET a = b",
        "EXECUTE a",
        "EXECUTE a(?, NULL)",
        "EXECUTE a((SELECT b FROM c))",
    ],
)
def test_settings_and_procedure_calls_are_reported(dialect: str, text: str) -> None:
    assert redact(text, dialect) == text


@pytest.mark.parametrize("number", ["4711", "47.11", "4711e4711", "0x4711", "-4711", "$4711", "4_711_4711"])
def test_no_number_survives(number: str) -> None:
    assert "4711" not in redact(f"SELECT a FROM t WHERE x = {number}", "mssql")


def test_a_statement_longer_than_the_bounds_is_marked_as_cut() -> None:
    long = "SELECT " + ", ".join(f"column_{i}" for i in range(20_000)) + " FROM t"
    assert "cut" in scan(long, "mysql").signs
    assert scan(long, "mysql").cut
    assert spec.MARK in scan(long, "mysql").redacted
    assert scan(long, "mysql").redacted.endswith(spec.MARK)
    assert not scan("SELECT a FROM t WHERE x IN (" + "1," * 20_000 + "1)", "mysql").cut


def test_an_unknown_dialect_is_read_as_other() -> None:
    assert scan("SELECT q'[x]'", "cobol") == scan("SELECT q'[x]'", "other")
