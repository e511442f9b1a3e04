"""Answers that send the app somewhere else."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import EXPECTED, FAMILIAR, NEW, meet
from backwatch.detector.derived.text_columns import REDIRECT_HOST, REDIRECT_PORT
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
HTTP: Final = 80
HTTPS: Final = 443
PORTS: Final = np.uint64(0x9E3779B97F4A7C15)
"""Odd, and so without loss: it spreads a port over the host's key."""
ITSELF: Final = np.uint64(1)
"""Stands for a call that was not redirected to another host: that is what most resources usually do."""


@kernel
def _judge(
    host: Array,
    port: Array,
    own: Array,
    own_port: Array,
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
        target, said = host[i], expected[i]
        # Another service of the same machine, but for the web's two ports, between which every site redirects.
        elsewhere = own_port[i] > 0 and port[i] > 0 and port[i] != own_port[i] and port[i] != HTTP and port[i] != HTTPS
        if elsewhere and target == own[i] and target != 0:
            target, said = target ^ np.uint64(port[i]) * PORTS, 0  # what was accepted is the host, on its own port
        if target == 0 or target == own[i]:
            target = ITSELF
            said = EXPECTED if rows[k]["pinned"] != 0 else 0
        if meet(rows, k, target, time_ns[i], SETTLES_AFTER_NS, learn[i], said) == NEW and target != ITSELF:
            new[i] = 1


class Redirected(Detector):
    """Tells whether a resource sends the app to a host, or another port of its own, to which it never sent it before.

    Provides:
        ``backwatch.redirect.new``: 1 where the answer sends the app to a host to which the resource never sent it
            before, or to such a port of its own host, at a resource whose redirects (or their absence) are known.
    """

    id = "redirected"
    provides = ("backwatch.redirect.new",)
    knows = ((REDIRECT_HOST, "redirected"),)
    accepts = (names.REDIRECT_TARGET,)
    identity_changes = ("backwatch.redirect.new",)
    tables = (Table("redirected", RESOURCE, 2, FAMILIAR),)
    rule = r"""
title: A Service Sends the App to an Internal or Unknown Host
id: 84b9e7f5-5f0e-4d0d-a1b1-2c7f9d0e6a06
name: redirected
status: experimental
description: >-
  Detects an answer that redirects the app to a cloud metadata address, to an internal host from a service that is not
  internal itself, to another scheme, or to a host, or another port of its own, to which the resource never redirected
  before.
references:
  - https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/
  - https://cwe.mitre.org/data/definitions/918.html
  - https://attack.mitre.org/techniques/T1552/005/
tags: [attack.initial-access, attack.t1190, attack.credential-access, attack.t1552.005, attack.t1557, attack.t1090]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  metadata:
    backwatch.redirect.target|re|i:
      - '^(?:[\w+.-]+://)?(?:169\.254\.\d+(?:\.\d+)?|100\.100\.100\.200|192\.0\.0\.192|2852039166|0xa9fea9fe)\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?\[?(?:fe80:|fd00:ec2::254|[0:]*:(?:ffff:)?(?:0:)?(?:169\.254\.|a9fe:)|64:ff9b:[0:]*:(?:169\.254\.|a9fe:))'
      - '^(?:[\w+.-]+://)?(?:metadata|instance-data)(?:\.google|\.ec2|\.azure)?(?:\.internal|\.com)?\.?(?:[:/?#]|$)'
  scheme:
    backwatch.redirect.target|re|i: '^(?:file|ftp|gopher|dict|ldaps?|jar|tftp|data|smb|netdoc|php|phar|unix)(?::|$)'
  internal:
    backwatch.redirect.target|re|i:
      - '^(?:[\w+.-]+://)?(?:localhost|0\.0\.0\.0|127\.\d+\.\d+\.\d+)\.?(?:[:/?#]|$)'
      # Addresses of fewer than four parts, in octal or in hexadecimal, as inet_aton reads them.
      - '^(?:[\w+.-]+://)?(?:(?:0x[0-9a-f]+|\d+)\.){0,2}(?:0x[0-9a-f]+|\d+)\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?(?:\d+\.){0,3}(?:0x[0-9a-f]+|0\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.\d+\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?\[?(?:[0:]*:(?:0*1?(?:\]|$)|ffff:|\d+\.\d+\.\d+\.\d+)|64:ff9b:|f[cd][0-9a-f]{2}:)'
      - '^[\w+.-]+://[a-z][\w-]*\.?(?:[:/?#]|$)'
      - '^(?:[\w+.-]+://)?[\w.-]+\.(?:internal|local|localhost|lan|intranet|corp|home\.arpa|svc)\.?(?:[:/?#]|$)'
  filter_main_internal_address:
    server.address|cidr:
      - 127.0.0.0/8
      - 10.0.0.0/8
      - 172.16.0.0/12
      - 192.168.0.0/16
      - 100.64.0.0/10
      - '::1/128'
      - 'fc00::/7'
  filter_main_internal_name:
    server.address|re|i: '^/|^[^.:]+$|\.(?:internal|local|localhost|lan|intranet|corp|home\.arpa|svc)$'
  filter_main_internal_peer:
    network.peer.address|cidr: [127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, '::1/128',
    'fc00::/7']
  selection_new:
    backwatch.redirect.new: true
  condition: metadata or scheme or (internal and not 1 of filter_main_*) or selection_new
fields:
  - backwatch.redirect.target
  - backwatch.statement
  - server.address
  - network.peer.address
  - network.peer.port
  - code.function.name
falsepositives:
  - A resharded Redis cluster, or an API that moved to another host; accept the alert.
level: high
backwatch:
  key: resource
  instead_of: [peer-changed, topology-changed]
  suspect: true
  how:
    - >-
      An API that was taken over answers 302 to http://169.254.169.254/… or to an internal host: the app's client goes
      there from inside your network and hands the answer back (SSRF from the service's side).
    - >-
      A Redis node answers MOVED, a SQL Server ROUTING, a directory a referral, to a machine of the attacker's: the
      client logs in there with the same password.
    - >-
      Keys in headers of your own (X-Api-Key) follow the redirect to the foreign host, where Authorization would have
      been dropped.
  blind_spots: >-
    A public name that resolves to an internal address, until its peer is seen. Services that redirect to many hosts
    as a habit are never settled. A client that follows redirects without telling each hop.
  remediation: >-
    Do not follow redirects of this service (allow_redirects=False; for Redis use a client that knows its nodes), or
    follow them only to hosts from a fixed list, checked after the name was resolved. Ask the owner of the service why
    it redirects. If the target was a metadata address, renew the machine's credentials.
  parameters: [no-redirects]
  tests:
    - name: to the metadata address
      fires: true
      facts:
        server.address: 'api.example.com'
        backwatch.redirect.target: 'http://169.254.169.254/'
    - name: to a host it never named
      fires: true
      facts:
        backwatch.redirect.target: 'https://mallory.example/'
        backwatch.redirect.new: 1
    - name: to the loopback, in a spelling of its own
      fires: true
      facts:
        server.address: 'api.example.com'
        backwatch.redirect.target: 'http://0177.1/'
    - name: to itself
      fires: false
      facts:
        server.address: 'api.example.com'
        backwatch.redirect.target: 'https://api.example.com/v2/'
        backwatch.redirect.new: 0
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        new = np.zeros(calls.count, np.int8)
        _judge(
            calls[REDIRECT_HOST], calls[REDIRECT_PORT], calls[names.SERVER_ADDRESS], calls[names.SERVER_PORT],
            calls["time_ns"], slot[RESOURCE.name], learn, calls.expected(REDIRECT_HOST), tables["redirected"], new,
        )  # fmt: skip
        return {"backwatch.redirect.new": new}
