"""B10: passwords are tried out through an app that logs its visitors in to the service itself."""

from abc import abstractmethod

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario

GUESSES = tuple(f"{word}{year}" for word in ("summer", "winter", "admin", "shop") for year in (2023, 2024, 2025))


class Guessed(Scenario):
    """An app for the staff, who log in to the service under its account; nobody limits how often."""

    code = "B10"
    attack = "tries a dozen passwords, one after the other, until one is let in"
    reference = "https://owasp.org/www-community/attacks/Credential_stuffing; ATT&CK T1110"
    notices = "refused logins"
    rule = "login-failures"
    stays_honest = True

    def work(self) -> None:
        """Somebody logs in, and mistypes nothing."""
        self.log_in(SECRET)

    def meet(self) -> object:
        """The attacker guesses: how many passwords were refused before the one that is right."""
        refused = 0
        for guess in (*GUESSES, SECRET):
            try:
                self.log_in(guess)
            except Exception:  # noqa: BLE001  the driver's own, whatever it is
                refused += 1
        return refused

    @abstractmethod
    def log_in(self, password: str) -> None:
        """By this password, and does a little.

        Raises:
            Exception: The driver's own: the service refuses it.
        """

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Return whether every password but the right one was refused."""
        del service
        return got == len(GUESSES)


class GuessedDatabaseLogin(Guessed):
    """The service is a database."""

    def log_in(self, password: str) -> None:
        """Log in and run the ordinary query."""
        self.client.look_up(password=password)
