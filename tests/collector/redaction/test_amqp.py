"""AMQP names: identifiers, generated names, addresses and secrets never leave the process."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.redaction import amqp
from tests.services.cpu_time import least_cpu_s

VALUES = (
    "3f2c1a9e-0000-4000-8000-000000000000",
    "4711",
    "user42x7",
    "a" * 32,
    "hunter2!",
    "ann=secret",
    "dGhpc0lzUmFuZG9t",
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("around", ["{}", "reply.{}", "{}.orders", "orders.{}.created", "a/{}/b"])
def test_a_value_in_a_name_is_gone(value: str, around: str) -> None:
    assert value not in amqp.redact_name(around.format(value))


@pytest.mark.parametrize("name", ["orders", "orders.created", "celery", "celeryev", "a_b-c", "logs.*", "v1.orders.#"])
def test_the_apps_own_words_stay(name: str) -> None:
    assert amqp.redact_name(name) == name


@given(st.text(max_size=600))
def test_any_text_gives_a_bounded_name_that_is_its_own(text: str) -> None:
    once = amqp.redact_name(text)
    assert len(once) <= 300
    assert amqp.redact_name(once) == once or "…" in once or "?" in once


@given(st.text(alphabet=string.digits, min_size=2, max_size=30), st.sampled_from("./:|@ "))
def test_digits_never_pass(digits: str, separator: str) -> None:
    assert digits not in amqp.redact_name(f"orders{separator}{digits}{separator}x")


def test_a_long_name_takes_no_time() -> None:
    assert least_cpu_s(lambda: amqp.redact_name("a-" * 40_000)) < 0.05
