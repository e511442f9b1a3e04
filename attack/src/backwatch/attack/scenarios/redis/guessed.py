"""B10 on redis-py: an attacker guesses a Redis password through the app."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer, Talk
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET
from backwatch.attack.techniques.refused_logins import Guessed

WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"


class _Checking(RedisServer):
    def answer(self, verb: bytes, command: list[bytes], talk: Talk) -> bytes:
        if verb == b"AUTH" and command[-1] != SECRET.encode():
            return WRONG
        return super().answer(verb, command, talk)


class RedisGuessed(Guessed):
    """The server responds WRONGPASS to each."""

    driver = "redis"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that checks the password."""
        return _Checking(authority)

    def log_in(self, password: str) -> None:
        """Log in, and read a basket."""
        from contextlib import closing

        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with closing(
            redis.Redis(host="localhost", port=self.config.port, password=password, ssl=True,
                        ssl_ca_certs=self.config.ca_file, socket_timeout=5, protocol=2, retry=Retry(NoBackoff(), 0))
        ) as client:  # fmt: skip
            client.get("basket:7")
