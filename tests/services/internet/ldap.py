"""OpenLDAP's slapd: StartTLS on the one port, TLS at once on the other, a unix socket, a small directory."""

import contextlib
from collections.abc import Generator
from urllib.parse import quote

from tests.services.authority import Authority
from tests.services.process import account, binary, free_port, password, prepare, private_folder, run_process, write
from tests.services.server import HOST, Fixture, Server, accepts

BASE = "dc=shop,dc=example"
USER = f"cn=admin,{BASE}"
PEOPLE = f"ou=people,{BASE}"
ELSEWHERE = f"ou=elsewhere,{BASE}"
"""A subtree that the directory refers elsewhere for: to this same server, under ``PEOPLE``."""
COUNT = 5
VERSION = "2.5.test"
SETTINGS = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
modulepath /usr/lib/ldap:/usr/lib/openldap
moduleload back_mdb
rootDSE {folder}/root.ldif
sasl-host localhost
authz-regexp "^uid=([^,]+),.*cn=digest-md5,cn=auth$" "uid=$1,{people}"
{tls}
database mdb
suffix "{base}"
rootdn "{user}"
rootpw {secret}
directory {folder}/data
maxsize 10485760
dbnosync
"""
TLS = """
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
"""
ROOT = "dn:\nvendorName: OpenLDAP\nvendorVersion: {version}\n"
ENTRIES = """
dn: {base}
objectClass: dcObject
objectClass: organization
o: shop
dc: shop

dn: {people}
objectClass: organizationalUnit
ou: people

dn: {elsewhere}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://{host}:{port}/{people}
"""
PERSON = """
dn: uid=user{number},{people}
objectClass: inetOrgPerson
uid: user{number}
cn: User {number}
sn: Number{number}
mail: user{number}@shop.example
userPassword: secret{number}
"""

FIXTURE = Fixture("ldap_server", kind="ldap", port=389)


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``ldap_server`` is shared by the whole run."""
    with run_server(ca) as server:
        yield server


@contextlib.contextmanager
def run_server(ca: Authority, *names: str, tls: bool = True) -> Generator[Server]:
    """A server whose certificate is for ``names``; without ``tls`` it offers none."""
    program, user, certificate = binary("ldap", "slapd"), account("openldap"), ca.issue(*names)
    loader = binary("ldap", "slapadd")
    port, tls_port, secret = free_port(), free_port() if tls else 0, password()
    with private_folder("ldap", user) as folder:
        (folder / "data").mkdir(mode=0o700)
        (folder / "root.ldif").write_text(ROOT.format(version=VERSION))
        secured = TLS.format(
            authority=write(folder / "authority.pem", ca.ca_file.read_text()),
            certificate=write(folder / "certificate.pem", certificate.certificate_file.read_text()),
            key=write(folder / "key.pem", certificate.key_file.read_text()),
        )
        settings = SETTINGS.format(
            folder=folder,
            schema="/etc/ldap/schema",
            tls=secured if tls else "",
            base=BASE,
            people=PEOPLE,
            user=USER,
            secret=secret,
        )
        write(folder / "slapd.conf", settings)
        entries = ENTRIES.format(base=BASE, people=PEOPLE, elsewhere=ELSEWHERE, host=HOST, port=port)
        people = "".join(PERSON.format(number=number, people=PEOPLE) for number in range(1, COUNT + 1))
        prepare([loader, "-f", str(folder / "slapd.conf")], folder, say=entries + people)
        socket = folder / "socket"
        listen = [f"ldap://{HOST}:{port}/", f"ldapi://{quote(str(socket), safe='')}/"]
        listen += [f"ldaps://{HOST}:{tls_port}/"] if tls else []
        command = [program, "-d", "0", "-f", str(folder / "slapd.conf"), "-h", " ".join(listen)]
        with run_process(command, folder=folder, ready=accepts(tls_port or port), stop="TERM"):
            yield Server(
                kind="ldap", port=port, tls_port=tls_port, user=USER, password=secret, ca_file=str(ca.ca_file),
                url=f"ldap://{HOST}:{port}", tls_url=f"ldaps://{HOST}:{tls_port}" if tls else "", socket=str(socket),
            )  # fmt: skip
