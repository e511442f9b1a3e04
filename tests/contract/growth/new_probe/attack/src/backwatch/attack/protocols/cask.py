"""An honest cask over TLS, for scenarios to extend."""

from backwatch.attack.protocols.server import HostileServer, ServerSession


class Cask(HostileServer):
    """Stores values."""

    name = "cask"
    attack = "is honest"
    reference = "https://attack.mitre.org/techniques/T1557/"
    driver = "cask"
    rule = "mismatched-response"

    def serve(self, session: ServerSession) -> None:
        """Serve commands until the client leaves."""
        session.secure()
        stored: dict[str, str] = {}
        while command := session.line().decode():
            verb, key, *value = command.split(" ", 2)
            if verb == "PUT":
                stored[key] = value[0]
            key, text = self.response(key, stored.get(key, ""))
            known = verb in ("PUT", "GET")
            session.send(f"OK {key} {text}\n".encode() if known else f"ERROR {key} no such command\n".encode())

    def response(self, key: str, text: str) -> tuple[str, str]:
        """Return key and text to respond with; those of the request here."""
        return key, text
