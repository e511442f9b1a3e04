"""B10 on redis-py: an attacker guesses a Redis password through the app."""

from backwatch.attack.clients.redis import READ_BASKET, Redis
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.scenarios import SECRET, Run
from backwatch.attack.techniques.refused_logins import Guessed


class PasswordCheck(RedisServer):
    """Knows one password."""

    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        """Refuse a login with any other password."""
        if verb == b"AUTH" and command[-1] != SECRET.encode():
            return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        return super().answer(verb, command, talk)


class RedisGuessed(Guessed):
    """The server responds WRONGPASS to each."""

    server = PasswordCheck
    runs = (Run(Redis),)

    def log_in(self, password: str) -> None:
        """Log in, and read a basket."""
        self.client.execute(READ_BASKET, password=password, protocol=2, **self.client.no_retry())
