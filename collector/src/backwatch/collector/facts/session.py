"""Facts about the session: TLS, the server's certificate, the peer, the account, the server's identity."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.TLS_ESTABLISHED, type="flag", scope="session", kind="TLS", domain="session", order=120,
        label="Encrypted", meaning="The session is encrypted; absent: unknown.", example=True,
    ),
    Fact(
        name=names.TLS_VERSION, type="text", scope="session", kind="TLS", domain="session", order=140,
        label="TLS version", meaning="TLS version of the session: 1.2, 1.3.", example="1.3",
    ),
    Fact(
        name=names.TLS_CIPHER, type="text", scope="session", kind="TLS", domain="session", order=150,
        label="Cipher", meaning="Cipher of the session.", example="TLS_AES_256_GCM_SHA384",
    ),
    Fact(
        name=names.CERT_SHA256, type="text", scope="session", kind="certificate", domain="session", order=180,
        identity=True, profile="certificates",
        label="Certificate SHA-256", meaning="SHA-256 of the server's certificate, hexadecimal.",
        example="9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
    ),
    Fact(
        name=names.CERT_NOT_BEFORE, type="text", scope="session", kind="certificate", order=210,
        label="Certificate valid from", meaning="Start of the certificate's validity.", example="2026-01-01T00:00:00Z",
    ),
    Fact(
        name=names.CERT_NOT_AFTER, type="text", scope="session", kind="certificate", order=220,
        label="Certificate valid until", meaning="End of the certificate's validity.", example="2027-01-01T00:00:00Z",
    ),
    Fact(
        name=names.CERT_ISSUER, type="text", scope="session", kind="certificate", domain="session", order=200,
        profile="issuers",
        label="Certificate issuer", meaning="Issuer of the server's certificate.",
        example="CN=R11,O=Let's Encrypt,C=US",
    ),
    Fact(
        name=names.CERT_SUBJECT, type="text", scope="session", kind="certificate", domain="session", order=190,
        label="Certificate subject", meaning="Subject of the server's certificate.", example="CN=db.internal",
    ),
    Fact(
        name=names.TLS_REQUESTED, type="text", scope="session", kind="asked for", domain="session", order=160,
        label="TLS requested", meaning="Requested TLS mode: disable, prefer, require, verify-ca, verify-full.",
        example="verify-full",
    ),
    Fact(
        name=names.TLS_REQUESTED_EXPLICIT, type="flag", scope="session", kind="asked for", domain="session", order=170,
        label="TLS requested by the app", meaning="The app itself requested that mode; false: its driver's default.",
        example=True,
    ),
    Fact(
        name=names.TLS_VERIFIED, type="text", scope="session", kind="verified", domain="session", order=130,
        identity=True,
        label="TLS verified", meaning="Verification of the server: none, chain, full (chain and name).", example="full",
    ),
    Fact(
        name=names.PEER_ADDRESS, type="text", scope="session", kind="peer", domain="session", order=260,
        older=("net.sock.peer.addr", "net.peer.ip"), identity=True, profile="peers",
        label="Peer address", meaning="Numeric address of the peer.", example="10.0.0.5",
    ),
    Fact(
        name=names.PEER_PORT, type="number", scope="session", kind="peer", domain="session", order=270,
        older=("net.sock.peer.port",),
        label="Peer port", meaning="Port of the peer.", example=5432,
    ),
    Fact(
        name=names.TRANSPORT, type="text", scope="session", kind="address", domain="session", order=280,
        older=("net.transport",),
        label="Transport", meaning="tcp, unix, pipe, or inproc for a library that opens files.", example="tcp",
    ),
    Fact(
        name=names.ACCOUNT, type="text", scope="session", kind="account", domain="session", order=230,
        older=("db.user",),
        label="Account", meaning="Account of the session, never its secret.", example="shop_reader",
    ),
    Fact(
        name=names.ACCOUNT_SUPERUSER, type="flag", scope="session", kind="account", domain="session", order=240,
        label="Superuser", meaning="The server reports the account as a superuser (PostgreSQL's is_superuser).",
        example=False,
    ),
    Fact(
        name=names.SERVER_VERSION, type="text", scope="session", kind="version", domain="session", order=290,
        identity=True, profile="server_versions",
        label="Server version", meaning="Version that the server announced.", example="16.4",
    ),
    Fact(
        name=names.SERVER_ID, type="text", scope="session", kind="identity", domain="session", order=300,
        identity=True, profile="server_ids",
        label="Server identity", meaning="Identity that the server announced.", example="7391846251",
    ),
    Fact(
        name=names.RESOURCE_DECLARED, type="flag", scope="session", kind="address", domain="session", order=355,
        label="Host declared", meaning="The policy of the attached resource lists the host; absent: it lists none.",
        example=True,
    ),
    Fact(
        name=names.AUTH_METHOD, type="text", scope="session", kind="login", domain="session", order=250, identity=True,
        label="Login method", meaning="Login method: scram-sha-256, clear-password, none.", example="scram-sha-256",
    ),
)  # fmt: skip
