"""D5 on requests: an XML document has its reader include a file of the app's machine."""

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.document import Documents, ReadsDocuments


class HttpXmlExternal(ReadsDocuments):
    """Python's parsers read external entities only if configured to."""

    attack = "answers with an XML document that puts a file of the app's machine in the place of a rate"
    reference = (
        "https://cwe.mitre.org/data/definitions/611.html; https://docs.python.org/3/library/xml.html; ATT&CK T1005"
    )
    notices = "rates that are none"
    option = "feature_external_ges"
    shows = "BEGIN CERTIFICATE"
    hostile = b'<?xml version="1.0"?><!DOCTYPE rates [<!ENTITY f SYSTEM "%s">]><rates>&f;</rates>'

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Return a server that knows one file on the app's machine. It is the authority's, and no secret."""
        return Documents(authority, cls.kind, cls.honest, cls.hostile % authority.ca_file.as_uri().encode())

    def read(self, text: bytes) -> object:
        """Return the text in it, by a parser that reads external entities."""
        import io
        from xml import sax
        from xml.sax import handler, xmlreader

        found: list[str] = []

        class Text(handler.ContentHandler):
            def characters(self, content: str) -> None:
                found.append(content)

        source = xmlreader.InputSource()
        source.setByteStream(io.BytesIO(text))
        parser = sax.make_parser()  # noqa: S317  the scenario is about this risk
        parser.setFeature(handler.feature_external_ges, True)
        parser.setContentHandler(Text())
        parser.parse(source)
        return "".join(found)
