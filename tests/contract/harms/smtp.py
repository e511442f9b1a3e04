"""smtplib in a program with opportunistic STARTTLS: login and mail go out in plaintext."""

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

from backwatch.attack.demo.services.smtp import SMTP

PROBE = "smtplib"
PASSWORD = "only-a-test"


def _send(server: SMTP) -> bool:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "orders@shop.example", "customer@mail.example", "Order 7"
    mail.set_content("Your parcel waits for you.\n\n.\nThank you.")
    with smtplib.SMTP("localhost", server.port, timeout=5) as client:
        client.ehlo()
        offered = client.has_extn("starttls")
        if offered:
            client.starttls(context=ssl.create_default_context(cafile=str(server.authority.ca_file)))
        client.login("shop", PASSWORD)
        client.send_message(mail)
        return offered and isinstance(client.sock, ssl.SSLSocket)


def works(server: SMTP) -> None:
    taken: list[bytes] = []
    server.on_leak = taken.append
    assert _send(server)
    assert not taken


def is_harmed(server: SMTP, folder: Path) -> None:
    taken: list[bytes] = []
    server.on_leak = taken.append
    assert not _send(server)
    assert taken[0] == b"\0shop\0" + PASSWORD.encode()
    assert b"Your parcel waits for you." in taken


def meets_it(server: SMTP) -> None:
    """An app that accepts the offered connection."""
    _send(server)
