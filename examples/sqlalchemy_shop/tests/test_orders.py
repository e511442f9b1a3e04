"""The shop's own tests; with RELEASE=2, those of its next release."""

import os

import pytest
from shop import orders, release_2


@pytest.fixture
def customer() -> int:
    return orders.add_customer("Ada", "London")


def test_orders_of_a_customer_are_listed_newest_first(customer: int, backwatch_findings: list[object]) -> None:
    orders.add_order(customer, 30)
    orders.add_order(customer, 12)
    assert orders.list_orders(customer) == [12, 30]
    assert not backwatch_findings


def test_revenue_is_the_sum_of_all_orders(customer: int) -> None:
    before = orders.sum_revenue()
    orders.add_order(customer, 5)
    assert orders.sum_revenue() == before + 5


def test_customers_are_found_by_their_city(customer: int, backwatch_findings: list[object]) -> None:
    assert "Ada" in orders.find_customers("London")
    assert orders.find_customers("x' OR '1'='1") == []
    assert not backwatch_findings


@pytest.mark.skipif(os.environ.get("RELEASE") != "2", reason="part of the next release")
def test_the_next_release_counts_moves_and_lists(customer: int) -> None:
    orders.add_order(customer, 7)
    assert release_2.count_orders(customer) == 1
    release_2.move_customer(customer, "Paris")
    assert "Paris" in release_2.list_cities()
