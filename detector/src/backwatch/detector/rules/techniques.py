"""ATT&CK techniques of the shipped rules: their names in one version, and their ids in a later one.

A rule tags techniques as Sigma does (``attack.t1557``). Only this module states the version.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

VERSION: Final = "v18.1"
LATER: Final = "v19"
NAMES: Final[Mapping[str, str]] = {
    "T1003": "OS Credential Dumping",
    "T1005": "Data from Local System",
    "T1018": "Remote System Discovery",
    "T1020": "Automated Exfiltration",
    "T1030": "Data Transfer Size Limits",
    "T1040": "Network Sniffing",
    "T1046": "Network Service Discovery",
    "T1048": "Exfiltration Over Alternative Protocol",
    "T1053.003": "Scheduled Task/Job: Cron",
    "T1059": "Command and Scripting Interpreter",
    "T1059.006": "Command and Scripting Interpreter: Python",
    "T1059.007": "Command and Scripting Interpreter: JavaScript",
    "T1059.011": "Command and Scripting Interpreter: Lua",
    "T1068": "Exploitation for Privilege Escalation",
    "T1069": "Permission Groups Discovery",
    "T1070": "Indicator Removal",
    "T1071": "Application Layer Protocol",
    "T1078": "Valid Accounts",
    "T1078.001": "Valid Accounts: Default Accounts",
    "T1082": "System Information Discovery",
    "T1083": "File and Directory Discovery",
    "T1087": "Account Discovery",
    "T1090": "Proxy",
    "T1090.001": "Proxy: Internal Proxy",
    "T1098": "Account Manipulation",
    "T1110": "Brute Force",
    "T1110.004": "Brute Force: Credential Stuffing",
    "T1119": "Automated Collection",
    "T1136": "Create Account",
    "T1187": "Forced Authentication",
    "T1190": "Exploit Public-Facing Application",
    "T1195.002": "Supply Chain Compromise: Compromise Software Supply Chain",
    "T1203": "Exploitation for Client Execution",
    "T1210": "Exploitation of Remote Services",
    "T1213.006": "Data from Information Repositories: Databases",
    "T1485": "Data Destruction",
    "T1486": "Data Encrypted for Impact",
    "T1489": "Service Stop",
    "T1496": "Resource Hijacking",
    "T1499": "Endpoint Denial of Service",
    "T1499.003": "Endpoint Denial of Service: Application Exhaustion Flood",
    "T1499.004": "Endpoint Denial of Service: Application or System Exploitation",
    "T1505": "Server Software Component",
    "T1505.001": "Server Software Component: SQL Stored Procedures",
    "T1505.003": "Server Software Component: Web Shell",
    "T1530": "Data from Cloud Storage",
    "T1531": "Account Access Removal",
    "T1537": "Transfer Data to Cloud Account",
    "T1552.001": "Unsecured Credentials: Credentials In Files",
    "T1552.005": "Unsecured Credentials: Cloud Instance Metadata API",
    "T1557": "Adversary-in-the-Middle",
    "T1562": "Impair Defenses",
    "T1562.001": "Impair Defenses: Disable or Modify Tools",
    "T1562.008": "Impair Defenses: Disable or Modify Cloud Logs",
    "T1562.010": "Impair Defenses: Downgrade Attack",
    "T1565.001": "Data Manipulation: Stored Data Manipulation",
    "T1566": "Phishing",
    "T1567": "Exfiltration Over Web Service",
    "T1580": "Cloud Infrastructure Discovery",
    "T1584": "Compromise Infrastructure",
    "T1584.001": "Compromise Infrastructure: Domains",
    "T1586.002": "Compromise Accounts: Email Accounts",
    "T1600": "Weaken Encryption",
    "T1619": "Cloud Storage Object Discovery",
    "T1649": "Steal or Forge Authentication Certificates",
    "T1659": "Content Injection",
}
"""Names as of ``VERSION``; the name of a sub-technique follows that of its technique."""
RENAMED: Final[Mapping[str, str]] = {
    "T1562": "T1685", "T1562.001": "T1685", "T1562.008": "T1685.002", "T1562.010": "T1689",
}  # fmt: skip
"""Techniques that ``LATER`` revoked, and their replacements. A rule may tag both: they are one technique."""

_TAG: Final = re.compile(r"attack\.(t\d{4})(?:\.(\d{3}))?")


def techniques(tags: Iterable[str]) -> list[dict[str, str]]:
    """Return the techniques among a rule's tags: ``id``, ``name`` (empty: not in ``NAMES``), ``later`` id, ``url``.

    >>> techniques(["attack.credential-access", "attack.t1562.010", "attack.t1689"])[0]["later"]
    'T1689'
    """
    named = (_TAG.fullmatch(tag) for tag in tags)
    ids = [tag[1].upper() + (f".{tag[2]}" if tag[2] else "") for tag in named if tag]
    later = {RENAMED[id_] for id_ in ids if id_ in RENAMED}
    return [
        {"id": id_, "name": NAMES.get(id_, ""), "later": RENAMED.get(id_, ""), "url": _url(id_)}
        for id_ in ids
        if id_ not in later
    ]


def _url(technique: str) -> str:
    return f"https://attack.mitre.org/techniques/{technique.replace('.', '/')}/"
