"""An object store behind hundreds of addresses."""

from dataclasses import replace
from typing import Final

from backwatch.attack.baseline.year.calendar import Hour
from backwatch.attack.baseline.year.scenario import Query, YearScenario
from backwatch.attack.baseline.year.services import AMAZON, https, issue

HOST: Final = "shop-media.s3.eu-west-1.amazonaws.com"
CALLS: Final = (
    Query("GetObject shop-media", "shop/media.py:load", "/m/{}", -1, 60_000, 8, lasts_s=0.04, sent_bytes=500),
    Query("PutObject shop-media", "shop/media.py:save", "/upload", -1, 300, 1, lasts_s=0.08, sent_bytes=80_000),
)


class S3Addresses(YearScenario):
    """Each connection goes to another of 400 addresses; several certificates are in use at a time."""

    title = "an object store with 400 addresses and three certificates at a time, each renewed every few weeks"
    naive = "a new address, and a certificate that was never seen"
    days = 84
    blocks = 3

    def set_up(self) -> None:
        """Make the bucket."""
        self.bucket = https(self.source, HOST, AMAZON[0], 395, 100)
        peers = [f"52.218.{self.source.randrange(8)}.{self.source.randrange(256)}" for _ in range(400)]
        self.bucket.nodes = [replace(self.bucket.nodes[0], peer=peer) for peer in peers]

    def play(self, hour: Hour) -> None:
        """Renew a third of the nodes, move a tenth of them, and work."""
        if hour.is_at(7, 2) and hour.day % 21 < 7:
            certificate = issue(
                self.source, self.source.choice(AMAZON), "CN=*.s3.eu-west-1.amazonaws.com", hour.day, 395
            )
            part = hour.day // 7 % 3
            self.bucket.nodes = [
                replace(node, certificate=certificate) if number % 3 == part else node
                for number, node in enumerate(self.bucket.nodes)
            ]
        if hour.is_at(0):
            for number in self.source.sample(range(400), 40):
                peer = f"52.218.{self.source.randrange(8, 16)}.{self.source.randrange(256)}"
                self.bucket.nodes[number] = replace(self.bucket.nodes[number], peer=peer)
        self.ordinary(hour, self.bucket, CALLS)
