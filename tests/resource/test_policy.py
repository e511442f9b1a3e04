"""Where a policy comes from, and errors that name the setting and never a secret."""

from pathlib import Path

import pytest

from backwatch.resource import ResourceMisconfigured, ResourceUnsafe, attach
from backwatch.resource.announcement import find_attached
from backwatch.resource.checks import CHECKS
from backwatch.resource.policy import read_policy
from backwatch.resource.tls import find_ca_file
from backwatch.resource.url import read_url

URL = "postgresql://shop:SECRET@localhost/shop"
FILE = """
[tool.backwatch.resources.all]
tls_min = "1.3"
[tool.backwatch.resources.ORDERS_URL]
tls = "verify-ca"
hosts = ["*.db.example"]
"""


def test_each_layer_goes_before_the_one_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    policy = read_policy("ORDERS_URL", {}, {})
    assert (policy.text("tls"), policy.text("tls_min"), policy.texts("hosts")) == (
        "verify-ca",
        "1.3",
        ("*.db.example",),
    )
    assert read_policy("OTHER_URL", {}, {}).text("tls") == "verify-full"
    variables = {"BACKWATCH_RESOURCE_TLS": "require", "BACKWATCH_RESOURCE_ORDERS_URL_TLS": "off"}
    assert read_policy("OTHER_URL", {}, variables).text("tls") == "require"
    assert read_policy("ORDERS_URL", {}, variables).text("tls") == "off"
    assert read_policy("ORDERS_URL", {"tls": "verify-full"}, variables).text("tls") == "verify-full"
    assert read_policy("ORDERS_URL", {"tls": "verify-full"}, variables, {"tls": "off"}).text("tls") == "off"


def test_url_cannot_switch_a_reviewed_policy_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observe = {"mode": "observe"}
    with pytest.raises(ResourceMisconfigured, match=r"loosens what attach\('ORDERS_URL'\) sets"):
        read_policy("ORDERS_URL", observe, {}, {"hosts": ["*.db.example"]})
    assert read_policy("ORDERS_URL", observe, {}, {"driver": "psycopg"}).text("mode") == "observe"
    (tmp_path / "pyproject.toml").write_text("[tool.backwatch.resources.ORDERS_URL]\nhosts = ['*.db.example']\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResourceMisconfigured, match=r"loosens what pyproject\.toml: resources\.ORDERS_URL sets"):
        read_policy("ORDERS_URL", observe, {})
    assert read_policy("OTHER_URL", observe, {}).text("mode") == "observe"


def test_relative_authority_lies_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backwatch.toml").write_text("[resources.all]\nca = 'ca.pem'\n")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    policy = read_policy("ORDERS_URL", {}, {})
    assert policy.text("ca") == str(tmp_path / "ca.pem")
    with pytest.raises(ResourceMisconfigured, match=r"backwatch\.toml: resources\.all: ca = .*no such file"):
        find_ca_file(policy)


@pytest.mark.parametrize("text", ["", "[tool.backwatch.resources.all]\ntls = 'off'\n", "[resource.all]\ntls = 'off'\n"])
def test_named_file_without_settings_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policies.toml"
    path.write_text(text)
    with pytest.raises(ResourceMisconfigured, match=r"holds no table \[resources\.NAME\]"):
        read_policy("ORDERS_URL", {}, {"BACKWATCH_RESOURCES_FILE": str(path)})


@pytest.mark.parametrize(
    "settings", [{"tls": "off"}, {"mode": "observe"}, {"hosts": "evil.example"}, {"max_rows": "20"}, {"tls_min": "1.2"}]
)
def test_url_cannot_loosen_what_the_file_sets(settings: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text("""
[resources.all]
tls_min = "1.3"
[resources.ORDERS_URL]
tls = "verify-ca"
mode = "warn"
hosts = ["db.example"]
max_rows = 10
""")
    variables = {"BACKWATCH_RESOURCES_FILE": str(path)}
    with pytest.raises(ResourceMisconfigured, match=r"loosens what policies\.toml"):
        read_policy("ORDERS_URL", settings, variables)
    stricter = {"tls": "verify-full", "mode": "enforce", "max_rows": "5", "hosts": "db.example", "auth": "strong"}
    assert read_policy("ORDERS_URL", stricter, variables).enforced


def is_declared(host: str) -> bool | None:
    found = find_attached(host, 5432)
    assert found is not None
    return found.declared


def test_variable_cannot_declare_where_it_leads(tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text("[resources.ORDERS_URL]\nhosts = ['db.example:5432']\n")
    variables = {"BACKWATCH_RESOURCES_FILE": str(path), "ORDERS_URL": "postgresql://db.example/shop"}
    attach("ORDERS_URL", environment=variables)
    assert is_declared("db.example")
    attach("ORDERS_URL", environment={"ORDERS_URL": "postgresql://evil.example/?backwatch.hosts=evil.example"})
    assert is_declared("evil.example") is None


@pytest.mark.parametrize("host", ["db.example.", "DB.Example", "db.example"])
def test_final_dot_and_case_name_the_same_host(host: str) -> None:
    resource = attach("ORDERS_URL", environment={"ORDERS_URL": f"redis://{host}:6380/0"})
    for same in ("db.example", "db.example.", "DB.EXAMPLE"):
        resource._attachment.check_endpoint(same, 6380, "the service leads to")
    with pytest.raises(ResourceUnsafe, match="port 6379"):
        resource._attachment.check_endpoint("db.example", 6379, "the service leads to")


def test_file_can_be_named_and_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "policies.toml"
    path.write_text("[resources.ORDERS_URL]\nmode = 'warn'\n")
    assert read_policy("ORDERS_URL", {}, {"BACKWATCH_RESOURCES_FILE": str(path)}).text("mode") == "warn"
    with pytest.raises(ResourceMisconfigured, match="BACKWATCH_RESOURCES_FILE"):
        read_policy("ORDERS_URL", {}, {"BACKWATCH_RESOURCES_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tls": "maybe"}, "tls = 'maybe': must be one of"),
        ({"tsl": "off"}, "'tsl' is no setting"),
        ({"connect_timeout_s": "-1"}, "connect_timeout_s"),
        ({"connect_timeout_s": "1e999"}, "connect_timeout_s"),
        ({"max_rows": "many"}, "max_rows"),
        ({"pin": "abc"}, "pin"),
        ({"read_only": "perhaps"}, "read_only"),
    ],
)
def test_wrong_setting_is_named_with_its_value_and_place(settings: dict[str, str], named: str) -> None:
    with pytest.raises(ResourceMisconfigured) as caught:
        read_policy("ORDERS_URL", settings, {})
    assert named in str(caught.value)
    assert "the URL in ORDERS_URL" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "SECRET", "postgresql://shop:SECRET@host:port/", "nosuch://u:SECRET@h/", "postgresql://[::1:SECRET/"]
)
def test_wrong_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ResourceMisconfigured) as caught:
        attach("ORDERS_URL", environment={"ORDERS_URL": text})
    assert "ORDERS_URL" in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("text", ["12#SECRET", "12/SECRET", "12?SECRET", "p@SE#SECRET", "p@SE/SECRET", "p@SE?SECRET"])
def test_part_of_a_password_is_never_taken_for_a_host(text: str) -> None:
    with pytest.raises(ResourceMisconfigured, match="%23") as caught:
        attach("ORDERS_URL", environment={"ORDERS_URL": f"postgresql://shop:{text}@db.example/shop"})
    assert "SE" not in str(caught.value).removeprefix("ORDERS_URL")


def test_signs_of_a_password_are_written_encoded() -> None:
    url = "postgresql://shop:a%40%3A%2F%3F%23%25b@db.example/shop?user=me@tenant"
    assert attach("ORDERS_URL", environment={"ORDERS_URL": url})._attachment.url.password == "a@:/?#%b"
    attach("ORDERS_URL", environment={"ORDERS_URL": "https://api.example/@shop/orders"})


def test_misspelt_variable_is_an_error() -> None:
    with pytest.raises(ResourceMisconfigured, match="BACKWATCH_RESOURCE_ORDERS_TSL"):
        read_policy("ORDERS_URL", {}, {"BACKWATCH_RESOURCE_ORDERS_TSL": "off"})
    with pytest.raises(ResourceMisconfigured, match="BACKWATCH_RESOURCES_FLE"):
        read_policy("ORDERS_URL", {}, {"BACKWATCH_RESOURCES_FLE": "policies.toml"})


def test_missing_variable_is_named() -> None:
    with pytest.raises(ResourceMisconfigured, match="ORDERS_URL is not set"):
        attach("ORDERS_URL", environment={})


def test_no_representation_holds_the_password() -> None:
    resource = attach("ORDERS_URL", environment={"ORDERS_URL": f"{URL}?sslpassword=SECRET"})
    assert "SECRET" not in f"{resource!r} {resource._attachment!r}"


def test_setting_that_a_driver_cannot_keep_is_an_error() -> None:
    with pytest.raises(ResourceMisconfigured, match="max_reply_bytes cannot be kept by psycopg2"):
        attach("ORDERS_URL", environment={"ORDERS_URL": URL}, driver="psycopg2", max_reply_bytes=1_000)


def test_each_setting_says_what_it_stops() -> None:
    assert [check.name for check in CHECKS.values() if not check.stops] == []


def test_address_of_ipv6_keeps_its_brackets() -> None:
    url = read_url("BROKERS", "kafka://[2001:db8::1]:9093,broker.example")
    assert url.addresses(9092) == ["[2001:db8::1]:9093", "broker.example:9092"]
    assert "[2001:db8::1]:9093" in url.rebuild()
