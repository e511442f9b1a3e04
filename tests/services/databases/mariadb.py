"""MariaDB on a private data directory, with TLS from the run's authority."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, password, prepare, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server

USER = "backwatch"


FIRST_WORDS = f"""
create user {USER}@'%' identified by '{{secret}}';
grant all on *.* to {USER}@'%' with grant option;
alter user root@localhost identified by '{{secret}}';
"""
OPTIONS = (
    f"--bind-address={HOST}", "--skip-name-resolve", "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--max-connections=200", "--local-infile=1",
)  # fmt: skip

FIXTURE = Fixture("mariadb", kind="mariadb", port=3306)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``mariadb`` is shared by the whole run."""
    mariadbd, install = binary("mariadb", "mariadbd"), binary("mariadb", "mariadb-install-db")
    user, port, secret, certificate = account("mysql"), free_port(), password(), ca.issue()
    with private_folder("mariadb", user) as folder:
        # Its temporary tables, too: if two servers share a folder, one that starts deletes the other's.
        data, socket = [f"--datadir={folder / 'data'}", f"--tmpdir={folder}"], folder / "socket"
        prepare(
            [install, "--no-defaults", *data, "--auth-root-authentication-method=normal", "--skip-test-db"],
            folder,
            user,
        )
        command = [
            mariadbd, "--no-defaults", *data, *OPTIONS, f"--port={port}", f"--socket={socket}",
            f"--init-file={write(folder / 'first.sql', FIRST_WORDS.format(secret=secret).lstrip(), user)}",
            f"--ssl-cert={write(folder / 'certificate.pem', certificate.certificate_file.read_text(), user)}",
            f"--ssl-key={write(folder / 'key.pem', certificate.key_file.read_text(), user)}",
            f"--ssl-ca={write(folder / 'ca.pem', ca.ca_file.read_text(), user)}",
        ]  # fmt: skip
        with run_process(
            command, folder=folder, user=user, ready=lambda: "ready for connections" in (folder / "log.txt").read_text()
        ):
            url = f"mysql://{USER}:{secret}@{HOST}:{port}/mysql"
            yield Server(
                kind="mariadb", port=port, tls_port=port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=url, tls_url=f"{url}?ssl_ca={ca.ca_file}", socket=str(socket),
            )  # fmt: skip
