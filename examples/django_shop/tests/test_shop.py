"""The shop's own tests; with RELEASE=2, those of its next release."""

import os

import pytest
from django.test import Client
from shop.models import Customer

client = Client()


@pytest.fixture
def customer() -> int:
    return Customer.objects.create(name="Ada", city="London").pk


def test_orders_of_a_customer_are_listed_newest_first(customer: int, backwatch_findings: list[object]) -> None:
    client.post(f"/customers/{customer}/orders/", {"total": 30})
    client.post(f"/customers/{customer}/orders/", {"total": 12})
    assert client.get(f"/customers/{customer}/orders/").json() == {"totals": [12, 30]}
    assert not backwatch_findings


def test_revenue_is_the_sum_of_all_orders(customer: int) -> None:
    before = client.get("/revenue/").json()["revenue"]
    client.post(f"/customers/{customer}/orders/", {"total": 5})
    assert client.get("/revenue/").json() == {"revenue": before + 5}


def test_customers_are_found_by_their_city(customer: int, backwatch_findings: list[object]) -> None:
    assert "Ada" in client.get("/customers/", {"city": "London"}).json()["names"]
    assert client.get("/customers/", {"city": "x' OR '1'='1"}).json() == {"names": []}
    assert not backwatch_findings


@pytest.mark.skipif(os.environ.get("RELEASE") != "2", reason="part of the next release")
def test_the_next_release_counts_moves_and_lists(customer: int) -> None:
    client.post(f"/customers/{customer}/orders/", {"total": 7})
    assert client.get(f"/customers/{customer}/count/").json() == {"count": 1}
    client.post(f"/customers/{customer}/move/", {"city": "Paris"})
    assert "Paris" in client.get("/cities/").json()["cities"]
