"""Names in certificates: whether anybody can get one from the authority, and which domain the subject belongs to.

A verified certificate proves as much as its authority asks for. A public authority gives one to anyone who controls the
name or the path to it for a minute; a company's own authority, and the names under which a cloud runs its services, do
not leave their owner.
"""

import re
from typing import Final

PUBLIC_AUTHORITIES: Final = frozenset((
    "let's encrypt", "zerossl", "ssl corporation", "google trust services", "google trust services llc", "buypass as",
    "buypass as-983163327", "digicert inc", "digicert, inc.", "geotrust inc.", "thawte, inc.", "rapidssl",
    "sectigo limited", "sectigo (usa) llc", "comodo ca limited", "the usertrust network", "globalsign nv-sa",
    "godaddy.com, inc.", "starfield technologies, inc.", "entrust, inc.", "entrust limited", "identrust", "amazon",
    "microsoft corporation", "apple inc.", "cloudflare, inc.", "actalis s.p.a.", "asseco data systems s.a.",
    "unizeto technologies s.a.", "hellenic academic and research institutions ca", "swisssign ag", "quovadis limited",
    "quovadis trustlink b.v.", "d-trust gmbh", "deutsche telekom security gmbh", "certigna", "dhimyotis", "fnmt-rcm",
    "firmaprofesional sa", "izenpe s.a.", "telia company ab", "network solutions l.l.c.", "trustwave holdings, inc.",
    "trustasia technologies, inc.", "wotrus ca limited", "secom trust systems co.,ltd.", "cybertrust japan co., ltd.",
    "japan registry services co., ltd.", "naver cloud corp.", "taiwan-ca", "chunghwa telecom co., ltd.", "gandi",
    "emsign pki", "emudhra technologies limited", "e-tugra ebg a.s.", "disig a.s.", "microsec ltd.", "internet2",
    "geant vereniging", "gogetssl", "certsign sa", "cfca", "beijing certificate authority co., ltd.",
))  # fmt: skip
"""Organisations of authorities that browsers and operating systems trust, in lower case (Mozilla's included CAs)."""
CLOUD_DOMAINS: Final = (
    "amazonaws.com", "amazonaws.com.cn", "aws.dev", "on.aws", "azure.com", "azure.net", "windows.net", "azure.cn",
    "googleapis.com", "google.com", "goog", "cloud.goog", "oraclecloud.com", "digitaloceanspaces.com", "aivencloud.com",
    "mongodb.net", "redis-cloud.com", "redislabs.com", "upstash.io", "confluent.cloud", "snowflakecomputing.com",
    "cockroachlabs.cloud", "neon.tech", "supabase.co", "supabase.com", "ondigitalocean.com", "scw.cloud",
)  # fmt: skip
"""Domains under which clouds run services of customers with certificates of their own."""
_ORGANISATION: Final = re.compile(r"(?:^|(?<!\\)[,+]) *O *= *((?:[^,+\\]|\\.)+)", re.IGNORECASE | re.DOTALL)
_COMMON_NAME: Final = re.compile(r"(?:^|(?<!\\)[,+]) *CN *= *((?:[^,+\\]|\\.)+)", re.IGNORECASE | re.DOTALL)


def organisation(name: str) -> str:
    """Return the organisation in a distinguished name of RFC 4514, lower-cased; the whole name where there is none.

    >>> organisation("CN=R11,O=Let's Encrypt,C=US"), organisation("CN=db-ca")
    ("let's encrypt", 'CN=db-ca')
    """
    found = _ORGANISATION.search(name[:2_000])
    return found[1].strip().lower() if found else name


def common_name(subject: str) -> str:
    """Return the common name of a subject in lower case; empty where there is none.

    >>> common_name("CN=*.Shop.example,O=Shop"), common_name("O=Shop")
    ('*.shop.example', '')
    """
    found = _COMMON_NAME.search(subject[:2_000])
    return found[1].strip().lower() if found else ""


def subject_domain(subject: str) -> str:
    """Return the domain that a subject shares with the other nodes of its service; its name where it has none.

    >>> subject_domain("CN=node-2.db.shop.internal"), subject_domain("CN=*.db.shop.internal"), subject_domain("CN=a.b")
    ('db.shop.internal', 'db.shop.internal', 'a.b')
    """
    name = common_name(subject) or subject
    first, _, rest = name.partition(".")
    return rest if "." in rest and first else name


def is_public(issuer: str) -> int:
    """Return whether anybody who controls a name can get a certificate from the issuer.

    >>> is_public("CN=R11,O=Let's Encrypt,C=US"), is_public("CN=Shop CA,O=Shop GmbH"), is_public("CN=db-ca")
    (1, 0, 0)
    """
    return int(organisation(issuer) in PUBLIC_AUTHORITIES)


def is_of_cloud(subject: str) -> int:
    """Return whether a subject lies in a domain that only a cloud's own services have certificates for.

    >>> is_of_cloud("CN=*.s3.eu-west-1.amazonaws.com"), is_of_cloud("CN=amazonaws.com.example")
    (1, 0)
    """
    name = common_name(subject)
    return int(any(name.endswith(f".{domain}") for domain in CLOUD_DOMAINS))
