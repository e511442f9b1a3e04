"""B10: an attacker guesses passwords through an app that passes its visitors' logins on."""

from abc import abstractmethod

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

GUESSES = tuple(f"{word}{year}" for word in ("summer", "winter", "admin", "shop") for year in (2023, 2024, 2025))


class Guessed(Scenario):
    """An app for the staff, who log in to the service under its account. Logins are not rate-limited."""

    code = "B10"
    attack = "tries a dozen passwords, one after the other, until one is let in"
    reference = "https://owasp.org/www-community/attacks/Credential_stuffing; ATT&CK T1110"
    notices = "refused logins"
    rule = "login-failures"
    stays_honest = True

    def work(self) -> None:
        """Log in with the right password."""
        self.log_in(SECRET)

    def meet(self) -> object:
        """Guess passwords, and return how many were refused before the right one."""
        refused = 0
        for guess in (*GUESSES, SECRET):
            try:
                self.log_in(guess)
            except Exception:  # noqa: BLE001  the driver's own exception, of any class
                refused += 1
        return refused

    @abstractmethod
    def log_in(self, password: str) -> None:
        """Log in with this password, and do a little work.

        Raises:
            Exception: The driver's own: the service refuses the login.
        """

    @classmethod
    def has_succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether every password but the right one was refused."""
        del service
        return got == len(GUESSES)
