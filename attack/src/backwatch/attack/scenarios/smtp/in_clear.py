"""A4 on smtplib, in an app that sends in plaintext when STARTTLS is refused."""

from backwatch.attack.scenarios.smtp.starttls_hidden import SmtpHidden


class SmtpInClear(SmtpHidden):
    """The app catches smtplib's exception and goes on. Password and mail can be read on the network."""

    notices = "nothing"
    goes_on = True
