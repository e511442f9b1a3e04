"""D7 on cask: the response holds another key than the request."""

from typing import Any

from backwatch.attack.protocols.cask import Cask
from backwatch.attack.scenarios import Scenario


class OtherKeyCask(Cask):
    """Responds with another user's key and value, once hostile."""

    def response(self, key: str, text: str) -> tuple[str, str]:
        """Return the other user's basket."""
        return ("basket:8", "three pears") if self.hostile else super().response(key, text)


class CaskOtherKey(Scenario):
    """The client of a cask returns any text, whichever key it belongs to."""

    code = "D7"
    attack = "answers with another key and its value than was asked for"
    reference = "https://attack.mitre.org/techniques/T1557/"
    driver = "cask"
    rule = "mismatched-response"
    server = OtherKeyCask
    shows = "three pears"

    def work(self) -> str:
        """Store a basket, and read it."""
        import importlib
        import ssl

        cask: Any = importlib.import_module("cask")
        client = cask.Client("localhost", self.config.port, ssl.create_default_context(cafile=self.config.ca_file))
        client.connect()
        try:
            client.put("basket:7", "two apples")
            return client.get("basket:7")
        finally:
            client.close()
