"""PostgreSQL on a private data directory: SCRAM over plain TCP, TLS and the unix socket."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, password, prepare, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server

USER = "backwatch"
CLEARTEXT_USER = "cleartext"
"""An account of the same secret whose password the server asks for in the clear, and which may do next to nothing."""
STRICT_ROLE = "strict"
"""Members of this role must use TLS."""
ACCESS = f"""
hostnossl all +{STRICT_ROLE} {HOST}/32 reject
host  all {CLEARTEXT_USER} {HOST}/32 password
local all all scram-sha-256
host  all all {HOST}/32 scram-sha-256
host  all all ::1/128 scram-sha-256
"""
SETTINGS = """
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
ssl_ca_file = '{ca}'
listen_addresses = '{host}'
unix_socket_directories = '{folder}'
password_encryption = 'scram-sha-256'
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
"""


def programs() -> list[str]:
    """Return the folders of Debian's versions, newest first, because ``PATH`` rarely has them."""
    versions = sorted(Path("/usr/lib/postgresql").glob("[0-9]*"), key=lambda path: int(path.name), reverse=True)
    return [str(path / "bin") for path in versions]


FIXTURE = Fixture("postgresql", kind="postgresql", port=5432)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``postgresql`` is shared by the whole run."""
    postgres, initdb = binary("postgresql", "postgres", *programs()), binary("postgresql", "initdb", *programs())
    user, port, secret = account("postgres"), free_port(), password()
    with private_folder("postgresql", user) as folder:
        data = folder / "data"
        prepare([initdb, "-D", str(data), "-A", "scram-sha-256", "-U", USER, "--no-sync", "--locale=C.UTF-8",
                 "-E", "UTF8", "--pwfile", str(write(folder / "password", secret, user))], folder, user)  # fmt: skip
        _configure(folder, ca, user)
        first_words = f"create role {CLEARTEXT_USER} login password '{secret}';\ncreate role {STRICT_ROLE};\n"
        prepare([postgres, "--single", "-D", str(data), "postgres"], folder, user, say=first_words)
        with run_process(
            [postgres, "-D", str(data), "-p", str(port)], folder=folder, user=user, stop="QUIT",
            ready=lambda: "ready to accept connections" in (folder / "log.txt").read_text(),
        ):  # fmt: skip
            url = f"postgresql://{USER}:{secret}@{HOST}:{port}/postgres"
            yield Server(
                kind="postgresql", port=port, tls_port=port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=url, tls_url=f"{url}?sslmode=verify-full&sslrootcert={ca.ca_file}", socket=str(folder),
            )  # fmt: skip


def _configure(folder: Path, ca: Authority, user: str | None) -> None:
    certificate = ca.issue()
    (folder / "data" / "pg_hba.conf").write_text(ACCESS)
    with (folder / "data" / "postgresql.auto.conf").open("a") as settings:
        settings.write(SETTINGS.format(
            host=HOST, folder=folder,
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text(), user),
            key=write(folder / "key.pem", certificate.key_file.read_text(), user),
            ca=write(folder / "ca.pem", ca.ca_file.read_text(), user),
        ))  # fmt: skip
