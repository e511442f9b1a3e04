"""Call sites as keys: function with its route, or with the path of its callers; a route alone; else the family."""

from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls
from backwatch.collector.runtime.record import CLIENT, Call, CallSite, Session
from backwatch.detector.columns.key_texts import key_of
from backwatch.detector.columns.prepared import Columns
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.state.keys import SITE_REPORTED

APP = App("shop", "", "", (("service.name", "shop"),))
SESSION = Session(system="postgresql", address="db", port=5432)
HELPED = "app.py:find > app.py:rows"


def call(site: CallSite | None, route: str = "") -> Call:
    return Call(
        SESSION, "SELECT", "SELECT a FROM b", True, "", CLIENT, site, route, 1, 2, 1, 1, 0, -1, -1, False, -1, -1, "",
        (),
    )  # fmt: skip


CALLS = (
    call(CallSite("find", "app.py", 3), "/find"),
    call(CallSite("find", "app.py", 4, HELPED), "/find"),
    call(CallSite("find", "app.py", 3), "/seek"),
    call(CallSite("find", "app.py", 3)),
    call(CallSite("find", "app.py", 3, HELPED)),
    call(None, "admin/auth/user/"),
    call(None),
)


def test_call_site_is_its_function_with_route_or_path() -> None:
    prepared = Columns(b"0" * 16).prepare(decode([encode_calls(APP, CALLS)]))
    labels = [key_of("site", prepared, row).label for row in range(len(CALLS))]
    assert labels == [
        "app.py:find (/find)", "app.py:find (/find)", "app.py:find (/seek)", "app.py:find", f"app.py:find ({HELPED})",
        "route:admin/auth/user/", "family:SELECT b",
    ]  # fmt: skip
    addresses = prepared.address["site"].tolist()
    assert [addresses.index(address) for address in addresses] == [0, 0, 2, 3, 4, 5, 6]
    assert prepared.columns[SITE_REPORTED].tolist() == [True] * 6 + [False]
