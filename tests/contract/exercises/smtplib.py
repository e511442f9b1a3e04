"""Typical calls of an app that sends mail: STARTTLS, TLS at once, and no TLS at all."""

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

SERVICES = ("smtp_server",)


def _message() -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "hello", "shop@shop.example", "a@one.example, b@two.example"
    message.set_content("text")
    return message


def calls(services: dict[str, Any]) -> list[object]:
    server = services["smtp_server"]
    context = ssl.create_default_context(cafile=server.ca_file)
    seen: list[object] = []
    with smtplib.SMTP(server.host, server.port) as client:
        seen.append(client.ehlo()[0])
        seen.append(client.starttls(context=context)[0])
        seen.append(client.login(server.user, server.password)[0])
        seen.append(client.sendmail("shop@shop.example", ["a@one.example", "b@two.example"], "Subject: x\r\n\r\ntext"))
        seen.append(client.send_message(_message()))
        seen.append(client.noop())
        try:
            client.sendmail("shop@shop.example", "a@one.example", "text", mail_options=["BODY=NONSENSE"])
        except smtplib.SMTPSenderRefused as error:
            seen.append(error.smtp_code)
    with smtplib.SMTP_SSL(server.host, server.tls_port, context=context) as client:
        seen.append(client.sendmail("shop@shop.example", "a@one.example", "text"))
    client = smtplib.SMTP(timeout=5)
    seen.append(client.connect(server.host, server.plain_port)[0])
    seen.append(client.has_extn("starttls"))
    seen.append(client.sendmail("shop@shop.example", ("a@one.example",), "text"))
    seen.append(client.quit()[0])
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server = services["smtp_server"]

    def hidden() -> None:
        with smtplib.SMTP(server.host, server.plain_port) as client:
            client.starttls()

    def refused() -> None:
        with smtplib.SMTP(server.host, server.port) as client:
            client.starttls()
            client.user, client.password = server.user, "wrong"
            client.ehlo()
            client.auth("PLAIN", client.auth_plain)  # ``login`` tries again by LOGIN, to which aiosmtpd never replies

    def untrusted() -> None:
        client = smtplib.SMTP(server.host, server.port)
        try:
            client.starttls(context=ssl.create_default_context())
        finally:
            client.close()

    return [
        hidden,
        refused,
        untrusted,
        lambda: smtplib.SMTP_SSL(server.host, server.tls_port, context=ssl.create_default_context()),
        lambda: smtplib.SMTP("127.0.0.1", 1),
        lambda: smtplib.SMTP().sendmail("a@one.example", "b@two.example", "text"),
        lambda: smtplib.SMTP(server.host, server.plain_port).sendmail(),  # type: ignore[call-arg]
        lambda: smtplib.SMTP(server.host, server.plain_port).sendmail(
            "a@one.example", "b@two.example", "", ["BODY=NO"]
        ),
        lambda: smtplib.SMTP(server.host, server.plain_port).login("app", "wrong"),
    ]
