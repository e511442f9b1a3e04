"""Sessions of attached resources carry the name of the config variable."""

import subprocess
import sys

from backwatch.collector import names
from backwatch.collector.pipeline.attached import find_attached
from backwatch.resource import announcement
from backwatch.resource.announcement import Attached, announce


def test_attached_endpoint_reports_its_name_and_declaration() -> None:
    announce("Orders.DB.example", 5432, Attached("ORDERS_URL", True, "enforce"))
    assert find_attached("orders.db.example", 5432) == {
        names.RESOURCE_NAME: "ORDERS_URL", names.RESOURCE_DECLARED: True,
    }  # fmt: skip
    assert find_attached("orders.db.example", 5433) == {}


def test_undeclared_resource_reports_no_declaration() -> None:
    announce("queue.example", 5672, Attached("QUEUE_URL", None, "warn"))
    assert find_attached("queue.example", 5672) == {names.RESOURCE_NAME: "QUEUE_URL"}


def test_endpoints_are_bounded() -> None:
    for port in range(1, announcement.MAX_ENDPOINTS + 100):
        announce("many.example", port, Attached("MANY_URL", None, "warn"))
    assert len(announcement._by_endpoint) == announcement.MAX_ENDPOINTS
    announcement._by_endpoint.clear()


def test_app_without_the_resource_never_loads_it() -> None:
    script = (
        "import sys; from backwatch.collector.pipeline.attached import find_attached; "
        "assert find_attached('db', 1) == {}; assert 'backwatch.resource' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
