"""PostgreSQL's URLs: hosts, passwords and options that stand in parameters, variables and service files."""

from typing import Any

import pytest

from backwatch.resource import ResourceMisconfigured, ResourceUnsafe, attach
from backwatch.resource.systems.postgresql import libpq_parameters
from backwatch.resource.systems.postgresql.asyncpg_login import _Login

NAME = "ORDERS_URL"


def read(text: str, options: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    resource = attach(NAME, environment={NAME: text}, driver="psycopg", **settings)
    return libpq_parameters(resource._attachment, options or {}, 170_000)


@pytest.mark.parametrize("url", ["postgresql:///shop?host=192.0.2.1", "postgresql:///shop?hostaddr=192.0.2.1"])
def test_host_in_a_parameter_needs_tls(url: str) -> None:
    assert read(url)["sslmode"] == "verify-full"


def test_host_in_a_variable_needs_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    assert read("postgresql:///shop")["sslmode"] == "verify-full"


def test_host_in_a_parameter_is_held_against_the_allowed_ones() -> None:
    with pytest.raises(ResourceUnsafe, match=r"names the host 192\.0\.2\.1"):
        read("postgresql:///shop?host=192.0.2.1", hosts="db.example")


def test_host_of_a_service_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceMisconfigured, match="service file"):
        read("postgresql:///shop?service=orders")
    monkeypatch.setenv("PGSERVICE", "orders")
    with pytest.raises(ResourceMisconfigured, match="service file"):
        read("postgresql:///shop")


def test_socket_is_not_redirected_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql:///shop?host=/run/postgresql&hostaddr=192.0.2.1"
    assert "hostaddr" not in read(url)
    assert read(url)["host"] == "/run/postgresql"
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    with pytest.raises(ResourceMisconfigured, match="PGHOSTADDR"):
        read(url)


def test_socket_of_a_url_is_one_for_each_driver() -> None:
    from backwatch.resource.systems.postgresql.asyncpg import _parameters

    resource = attach(NAME, environment={NAME: "postgresql://%2Frun%2Fpostgresql/shop"}, driver="asyncpg")
    assert _parameters(resource._attachment, {})["dsn"] == "postgresql://%2Frun%2Fpostgresql/shop"


def test_ports_of_parameters_belong_to_their_hosts() -> None:
    assert read("postgresql:///shop?host=192.0.2.1,192.0.2.2&port=5433,5434")["port"] == "5433,5434"
    with pytest.raises(ResourceMisconfigured, match="do not fit"):
        read("postgresql:///shop?host=192.0.2.1&port=5433,5434")


def test_login_in_parameters_is_kept() -> None:
    found = read("postgresql://localhost/?user=shop&password=SECRET&dbname=orders")
    assert (found["user"], found["password"], found["dbname"]) == ("shop", "SECRET", "orders")


@pytest.mark.parametrize("options", [{"password": "SECRET"}, {}])
def test_password_from_elsewhere_is_never_sent_in_clear(options: dict[str, Any]) -> None:
    assert "!password" in read("postgresql://shop@localhost/shop", options)["require_auth"]


def test_url_cannot_weaken_the_login() -> None:
    assert "!password" in read("postgresql://shop:SECRET@localhost/shop?require_auth=password")["require_auth"]


def test_options_of_the_caller_join_those_of_the_policy() -> None:
    given = {"options": "-c search_path=orders"}
    found = read("postgresql://localhost/shop", given, read_only=True)["options"]
    assert "default_transaction_read_only=on" in found
    assert found.endswith("search_path=orders")
    assert given == {"options": "-c search_path=orders"}


def test_options_of_the_environment_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=orders")
    assert read("postgresql://localhost/shop")["options"].startswith("-c search_path=orders -c statement_timeout=")


@pytest.mark.parametrize("option", ["conninfo", "dsn", "service"])
def test_caller_cannot_name_another_server(option: str) -> None:
    with pytest.raises(ResourceUnsafe, match=f"the option {option}"):
        read("postgresql://localhost/shop", {option: "host=192.0.2.1"})


def test_next_host_is_judged_from_its_first_byte() -> None:
    resource = attach(NAME, environment={NAME: "postgresql://shop:SECRET@localhost/shop"}, driver="asyncpg")
    login = _Login(resource._attachment)
    login.judge(b"R\0\0")  # and the first host hangs up
    login.restart()
    login.judge(b"R\0\0\0\x08\0\0\0\x03")
    assert login.refusal is not None
