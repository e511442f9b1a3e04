"""Responses that redirect the app to another host or port."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.known_values import EXPECTED, KNOWN_VALUES, NEW, observe
from backwatch.detector.derived.text_columns import REDIRECT_HOST, REDIRECT_PLAIN, REDIRECT_PORT
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
HTTP: Final = 80
HTTPS: Final = 443
PORTS: Final = np.uint64(0x9E3779B97F4A7C15)
"""Odd factor, so that no bits are lost: it spreads a port over the host's key."""
DOWNGRADED: Final = np.uint64(2)
"""Value of a redirect from TLS to plaintext on the service's own host."""
ITSELF: Final = np.uint64(1)
"""Value of a call without a redirect to another host, which is usual for most resources."""


@kernel
def _judge(
    host: Array,
    port: Array,
    own: Array,
    own_port: Array,
    downgraded: Array,
    time_ns: Array,
    resource: Array,
    learn: Array,
    expected: Array,
    rows: Any,
    new: Array,
) -> None:
    for i in range(resource.shape[0]):
        k = resource[i]
        if k == 0:
            continue
        target, expectation = host[i], expected[i]
        # Another service of the same machine, but for the web's two ports, between which every site redirects.
        elsewhere = own_port[i] > 0 and port[i] > 0 and port[i] != own_port[i] and port[i] != HTTP and port[i] != HTTPS
        if elsewhere and target == own[i] and target != 0:
            target = target ^ np.uint64(port[i]) * PORTS
            expectation = 0  # operators accept a host with its own port
        if target == 0 or target == own[i]:
            target = DOWNGRADED if downgraded[i] else ITSELF
            expectation = EXPECTED if rows[k]["pinned"] != 0 else 0
        observed = observe(rows, k, target, time_ns[i], SETTLES_AFTER_NS, learn[i], expectation)
        if observed == NEW and target != ITSELF:
            new[i] = 1


class Redirected(Detector):
    """Compares a redirect's target with those to which its resource redirected before."""

    id = "redirected"
    derives = (
        derived_fact(
            "backwatch.redirect.new",
            "1 where the response redirects the app to a host, to another port of its own host, or from TLS to "
            "plaintext, to which the resource never redirected before, at a resource whose redirects (or their "
            "absence) are known.",
        ),
    )
    knows = ((REDIRECT_HOST, "redirected"),)
    accepts = (names.REDIRECT_TARGET,)
    identity_changes = ("backwatch.redirect.new",)
    tables = (Table("redirected", RESOURCE, 2, KNOWN_VALUES),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new = np.zeros(calls.count, np.int8)
        downgraded = (calls[names.TLS_ESTABLISHED] == 1) & (calls[REDIRECT_PLAIN] == 1)
        _judge(
            calls[REDIRECT_HOST], calls[REDIRECT_PORT], calls[names.SERVER_ADDRESS], calls[names.SERVER_PORT],
            downgraded, calls["time_ns"], slot[RESOURCE.name], learn, calls.get_expected(REDIRECT_HOST),
            tables["redirected"], new,
        )  # fmt: skip
        return {"backwatch.redirect.new": new}
