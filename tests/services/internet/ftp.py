"""vsftpd: its anonymous account with a list of accepted passwords, plain or with TLS on the same port."""

import contextlib
from collections.abc import Generator

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, give, password, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

USER = "ftp"
CONTENT = "a line of forty characters, all in all..\r\n" * 100
SETTINGS = """
listen=YES
listen_address={host}
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
ftp_username={user}
secure_email_list_enable=YES
email_password_file={passwords}
anon_root={public}
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
secure_chroot_dir={empty}
nopriv_user=nobody
seccomp_sandbox=NO
max_per_ip=0
allow_anon_ssl=YES
ssl_enable={tls}
force_local_logins_ssl=NO
force_local_data_ssl=NO
require_ssl_reuse=NO
ssl_ciphers=HIGH
rsa_cert_file={certificate}
rsa_private_key_file={key}
{more}
"""

FIXTURE = Fixture("ftp_server", kind="ftp", port=21)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``ftp_server`` is shared by the whole run."""
    with run_server(ca) as server:
        yield server


@contextlib.contextmanager
def run_server(ca: Authority, *, tls: bool = True, more: str = "") -> Generator[Server]:
    """Run a server with further settings; it holds ``report.csv`` and accepts files in ``incoming``."""
    program, user, certificate = binary("ftp", "vsftpd"), account("ftp"), ca.issue()
    port, secret = free_port(), password()
    with private_folder("ftp", user) as folder:
        for name in ("public", "empty", "public/incoming"):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)
        give(folder / "public" / "incoming", user).chmod(0o755)
        report = folder / "public" / "report.csv"
        report.write_text(CONTENT, newline="")
        report.chmod(0o644)
        settings = SETTINGS.format(
            host=HOST, port=port, user=USER, public=folder / "public", empty=folder / "empty",
            passwords=write(folder / "passwords", f"{secret}\n"), tls="YES" if tls else "NO", more=more,
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text()),
            key=write(folder / "key.pem", certificate.key_file.read_text()),
        )  # fmt: skip
        configuration = write(folder / "vsftpd.conf", settings)
        with run_process([program, str(configuration)], folder=folder, ready=accepts(port)):
            yield Server(
                kind="ftp", port=port, tls_port=port if tls else 0, user=USER, password=secret,
                ca_file=str(ca.ca_file), url=f"ftp://{USER}:{secret}@{HOST}:{port}",
            )  # fmt: skip
