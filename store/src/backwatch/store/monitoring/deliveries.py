"""Incidents of notify as any other part sees them: one that does not run cannot report that it does not.

Notify knows which endpoints it serves. The dashboard, ``backwatch db status`` and the other parts' ``/metrics`` only
have what notify has left in the store.
"""

from typing import Final

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.deliveries import get_registration_times
from backwatch.store.monitoring.incidents import UNROUTED_AFTER_S, Incident, find_delivery_incidents

FORGOTTEN_AFTER_S: Final = 7 * 86_400.0
"""A notify that has not served its endpoint for so long was removed on purpose."""
ATTEMPT_S: Final = 60.0
"""So long may one attempt take, as far as a part knows that does not have notify's settings."""
_NS: Final = 1_000_000_000


def find_served_incidents(connection: sa.Connection, now_ns: int) -> list[Incident]:
    """Return what is wrong with the deliveries to endpoints that are served, or were until lately; worst first.

    An endpoint whose URL was changed is no longer served beside one that was registered since. Beside one that was
    there before, served by a notify of its own, it is without its notify.
    """
    endpoint = tables.endpoint
    served = {
        row.name: max(row.served_ns, row.since_ns)
        for row in connection.execute(sa.select(endpoint.c.name, endpoint.c.served_ns, endpoint.c.since_ns))
    }
    lately_ns = now_ns - int(FORGOTTEN_AFTER_S * _NS)
    late_ns = max(served.values(), default=0) - int((UNROUTED_AFTER_S + ATTEMPT_S) * _NS)
    beside = {name for name, at in served.items() if at >= late_ns}
    newest_ns = max((at for name, at in get_registration_times(connection).items() if name in beside), default=0)
    # The old notify may end a little after the new one began.
    replaced_ns = newest_ns + int(ATTEMPT_S * _NS)
    without = {name for name, at in served.items() if name not in beside and at > replaced_ns}
    return find_delivery_incidents(
        connection, {name: ATTEMPT_S for name in beside | without if served[name] >= lately_ns}, now_ns
    )
