"""ClickHouse on a private folder: its own protocol and HTTP, each in the clear and over TLS."""

import contextlib
import hashlib
from collections.abc import Generator
from dataclasses import dataclass

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

USER = "backwatch"
CONFIG = """<yandex>
    <logger><level>error</level><console>1</console></logger>
    <listen_host>{host}</listen_host>
    <tcp_port>{port}</tcp_port><tcp_port_secure>{tls_port}</tcp_port_secure>
    <http_port>{http_port}</http_port><https_port>{https_port}</https_port>
    <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
    <users_config>{folder}/users.xml</users_config>
    <default_profile>default</default_profile><default_database>default</default_database>
    <mark_cache_size>5368709</mark_cache_size><timezone>UTC</timezone>
    <query_log><database>system</database><table>query_log</table></query_log>
    <openSSL><server>
        <certificateFile>{certificate}</certificateFile><privateKeyFile>{key}</privateKeyFile>
        <verificationMode>none</verificationMode>
    </server></openSSL>
</yandex>"""
USERS = """<yandex>
    <profiles><default/></profiles>
    <users><{user}>
        <password_sha256_hex>{secret}</password_sha256_hex>
        <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    </{user}></users>
    <quotas><default/></quotas>
</yandex>"""

FIXTURE = Fixture("clickhouse", kind="clickhouse", port=9000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseServer(Server):
    """``port`` and ``tls_port`` speak ClickHouse's own protocol, ``http_port`` and ``https_port`` HTTP."""

    http_port: int
    https_port: int


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[ClickHouseServer]:
    """Run a separate server; the fixture ``clickhouse`` is shared by the whole run."""
    server, user, secret, certificate = (
        binary("clickhouse", "clickhouse-server"),
        account("nobody"),
        password(),
        ca.issue(),
    )
    port, tls_port, http_port, https_port = (free_port() for _ in range(4))
    with private_folder("clickhouse", user) as folder:
        config = CONFIG.format(
            host=HOST, port=port, tls_port=tls_port, http_port=http_port, https_port=https_port, folder=folder,
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text(), user),
            key=write(folder / "key.pem", certificate.key_file.read_text(), user),
        )  # fmt: skip
        digest = hashlib.sha256(secret.encode()).hexdigest()
        write(folder / "users.xml", USERS.format(user=USER, secret=digest), user)
        command = [server, f"--config-file={write(folder / 'config.xml', config, user)}"]
        with run_process(command, folder=folder, user=user, ready=accepts(https_port)):
            yield ClickHouseServer(
                kind="clickhouse", port=port, tls_port=tls_port, http_port=http_port, https_port=https_port, user=USER,
                password=secret, ca_file=str(ca.ca_file), url=f"clickhouse://{USER}:{secret}@{HOST}:{port}/default",
                tls_url=f"clickhouses://{USER}:{secret}@{HOST}:{tls_port}/default?ca_certs={ca.ca_file}",
            )  # fmt: skip
