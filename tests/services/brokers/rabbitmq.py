"""RabbitMQ with a private epmd: Erlang would otherwise leave one running for the whole machine."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

USER = "app"
SETTINGS = """
listeners.tcp.1 = {host}:{port}
listeners.ssl.1 = {host}:{tls_port}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
default_user = {user}
default_pass = {secret}
loopback_users = none
management.tcp.ip = {host}
management.tcp.port = {management_port}
log.console = true
log.console.level = warning
log.file = false
"""

FIXTURE = Fixture("rabbitmq", kind="rabbitmq", port=5672)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``rabbitmq`` is shared by the whole run."""
    server, user = binary("rabbitmq", "rabbitmq-server", "/usr/lib/rabbitmq/bin"), account("rabbitmq")
    port, tls_port, management_port = free_port(), free_port(), free_port()
    secret, certificate = password(), ca.issue()
    with private_folder("rabbitmq", user) as folder:
        settings = SETTINGS.format(
            host=HOST, port=port, tls_port=tls_port, management_port=management_port, user=USER, secret=secret,
            ca=write(folder / "ca.pem", ca.ca_file.read_text(), user),
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text(), user),
            key=write(folder / "key.pem", certificate.key_file.read_text(), user),
        )  # fmt: skip
        write(folder / "rabbitmq.conf", settings, user)
        write(folder / "plugins", "[rabbitmq_management].\n", user)
        with run_process([server], folder=folder, user=user, ready=accepts(tls_port), environment=_environment(folder)):
            yield Server(
                kind="rabbitmq", port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
                management_port=management_port, url=f"amqp://{USER}:{secret}@{HOST}:{port}/", tls_url=f"amqps://{USER}:{secret}@{HOST}:{tls_port}/",
            )  # fmt: skip


def _environment(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": "backwatch@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        "LC_ALL": "C.UTF-8",
    }
