"""Facts about the response: errors, redirects, topology, the form of its content."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.ERROR_TYPE, type="text", scope="exception", kind="errors", domain="content", order=60,
        older=("exception.type",),
        label="Error", meaning="Class of the error that the call raised.", example="psycopg.errors.SyntaxError",
    ),
    Fact(
        name=names.STATUS_CODE, type="text", scope="call", kind="errors", domain="content", order=70,
        older=("rpc.grpc.status_code", "rpc.response.status_code"),
        label="Status code", meaning="The server's own error code: 42601, 1064, NOAUTH.", example="42601",
    ),
    Fact(
        name=names.REDIRECT_TARGET, type="text", scope="call", kind="leads to", domain="content", order=-60,
        identity=True, profile="redirects",
        label="Redirect target", meaning="Target of the redirect: host:port or URL, without secrets.",
        example="10.0.0.7:6379",
    ),
    Fact(
        name=names.PAYLOAD_FORMAT, type="text", scope="call", kind="content", domain="content", order=-50,
        label="Payload format", meaning="Format recognised in the response: pickle, yaml.", example="pickle",
    ),
    Fact(
        name=names.PAYLOAD_CONTAINERS, type="words", scope="call", kind="content", domain="content", order=-45,
        label="Payload containers",
        meaning="Containers that were opened around the format: base64, zlib, zip, several by commas.",
        example="base64,zlib",
    ),
    Fact(
        name=names.PAYLOAD_GLOBALS, type="words", scope="call", kind="content", domain="content", order=-40,
        label="Loaded names",
        meaning="Names that a value would load: module.name of a pickle, classes of other formats, by commas.",
        example="os.system",
    ),
    Fact(
        name=names.LOCAL_INFILE, type="flag", scope="call", kind="content", domain="content", order=-30,
        label="File requested", meaning="A MySQL server asked the client for a file.", example=True,
    ),
    Fact(
        name=names.LOCAL_INFILE_FILE, type="text", scope="call", kind="content", domain="content", order=-20,
        label="Requested file", meaning="The file that a MySQL server asked the client for.", example="/etc/passwd",
    ),
    Fact(
        name=names.STARTTLS_OFFERED, type="flag", scope="session", kind="asked for", domain="session", order=-10,
        label="STARTTLS offered", meaning="The server offered STARTTLS on its plaintext connection.", example=True,
    ),
    Fact(
        name=names.TOPOLOGY, type="words", scope="call", kind="leads to", domain="content",
        identity=True, profile="nodes",
        label="Topology", meaning="Nodes that the service directed the client to: host:port, several by commas.",
        example="kafka-1.internal:9092,kafka-2.internal:9092",
    ),
    Fact(
        name=names.NOTICES, type="number", scope="call", kind="notices", domain="number", unit="messages",
        label="Notices", meaning="Unsolicited notices, warnings or pushed messages that came with the response.",
        example=0,
    ),
    Fact(
        name=names.PAYLOAD_WIRE, type="number", scope="call", kind="content", domain="number", unit="bytes",
        label="Compressed size", meaning="Bytes of a compressed body on the wire.", example=1_024,
    ),
    Fact(
        name=names.PAYLOAD_SIZE, type="number", scope="call", kind="content", domain="number", unit="bytes",
        label="Decompressed size", meaning="Bytes of a compressed body after decompression.", example=8_192,
    ),
    Fact(
        name=names.REDELIVERED, type="number", scope="call", kind="content", domain="number", unit="deliveries",
        label="Redeliveries", meaning="Earlier deliveries of the message, as far as broker or client count.", example=2,
    ),
    Fact(
        name=names.MESSAGE_FORMS, type="words", scope="call", kind="content", domain="content",
        label="Message forms", meaning="Forms of the messages of a topic, several by commas: json+key+trace, other.",
        example="json+key",
    ),
    Fact(
        name=names.RESPONSE_INDICATORS, type="words", scope="call", kind="content", domain="content",
        label="Response indicators", meaning="Properties that honest responses do not have: words of a fixed list.",
        example="terminal-escape",
    ),
)  # fmt: skip
