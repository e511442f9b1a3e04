"""Dovecot, for IMAP and for POP3: one account, whose mailbox holds three messages."""

import contextlib
from collections.abc import Generator
from pathlib import Path

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, give, password, private_folder, run_process, write
from tests.services.server import HOST, Server, accepts

USER = "app"
MESSAGES = 3
SETTINGS = """
base_dir = {folder}/run
state_dir = {folder}/state
protocols = {protocol}
listen = {host}
log_path = /dev/stderr
default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {internal}
first_valid_uid = 1
mail_location = maildir:{mail}
auth_failure_delay = 0
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{key}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {users}
}}
userdb {{
  driver = static
  args = uid={internal} gid={internal} home={mail}
}}
service {protocol}-login {{
  chroot =
  inet_listener {protocol} {{
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = {tls_port}
  }}
}}
service stats {{
  chroot =
}}
# Or each wrong login makes the next ones from here wait longer, up to fifteen seconds.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
MESSAGE = "From: shop@shop.example\r\nTo: app@shop.example\r\nSubject: order {number}\r\n\r\n{text}\r\n"


@contextlib.contextmanager
def run_server(ca: Authority, protocol: str, *, tls: bool = True) -> Generator[Server]:
    """A server that speaks ``imap`` or ``pop3``; without ``tls`` it offers none."""
    server, certificate = binary(protocol, "dovecot"), ca.issue()
    binary(protocol, protocol, "/usr/lib/dovecot")
    internal, login = account("dovecot"), account("dovenull")
    port, tls_port, secret = free_port(), free_port() if tls else 0, password()
    with private_folder(protocol, internal) as folder:
        folder.chmod(0o711)
        settings = SETTINGS.format(
            folder=folder, protocol=protocol, host=HOST, internal=internal or "$default", login=login or "$default",
            mail=_mailbox(folder, internal), ssl="yes" if tls else "no", port=port, tls_port=tls_port,
            users=write(folder / "users", f"{USER}:{{PLAIN}}{secret}\n", internal),
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text()),
            key=write(folder / "key.pem", certificate.key_file.read_text()),
        )  # fmt: skip
        write(folder / "dovecot.conf", settings)
        ready = accepts(tls_port or port)
        with run_process([server, "-F", "-c", str(folder / "dovecot.conf")], folder=folder, ready=ready, stop="TERM"):
            url = f"{USER}:{secret}@{HOST}"
            yield Server(
                kind=protocol, port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"{protocol}://{url}:{port}", tls_url=f"{protocol}s://{url}:{tls_port}" if tls else "",
            )  # fmt: skip


def _mailbox(folder: Path, user: str | None) -> Path:
    mail = folder / "mail"
    for inner in ("", "new", "cur", "tmp"):
        (mail / inner).mkdir(mode=0o700)
        give(mail / inner, user)
    for number in range(1, MESSAGES + 1):
        write(mail / "new" / f"{number}.message", MESSAGE.format(number=number, text="x" * 2_000), user)
    return mail
