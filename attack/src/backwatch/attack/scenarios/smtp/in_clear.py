"""A4 on smtplib, in an app that takes a refused STARTTLS for a reason to send in clear."""

from backwatch.attack.scenarios.smtp.starttls_hidden import SmtpHidden


class SmtpInClear(SmtpHidden):
    """The app catches smtplib's exception and goes on: password and mail are read on the way."""

    notices = "nothing"
    goes_on = True
