"""Access keys by their published formats: a fixed prefix, or a structure of their own."""

import re
from typing import Final

_FORMATS: Final = {
    "aws": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "github": r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "gitlab": r"gl(?:pat|ptt|dt|rt|cbt|soat|oas|ft)-[A-Za-z0-9_-]{20,128}",
    "stripe": r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,128}|whsec_[A-Za-z0-9+/=]{32,64}",
    "slack": r"xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-\d-[A-Z0-9]{8,20}-\d{8,20}-[a-f0-9]{64}"
    r"|hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{8,12}/[A-Za-z0-9/]{20,60}",
    "google": r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{30,400}|GOCSPX-[A-Za-z0-9_-]{28}",
    "npm": r"npm_[A-Za-z0-9]{36}",
    "pypi": r"pypi-AgE[A-Za-z0-9_-]{50,500}",
    "pem": r"-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----",
    "jwt": r"eyJ[A-Za-z0-9_-]{14,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1500}",
    "sendgrid": r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "openai": r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,200}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    "anthropic": r"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{80,120}",
    "twilio": r"SK[0-9a-f]{32}",
    "shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "digitalocean": r"do[opr]_v1_[a-f0-9]{64}",
    "hashicorp": r"hv[sbr]\.[A-Za-z0-9_-]{24,200}",
    "databricks": r"dapi[a-f0-9]{32}",
    "atlassian": r"ATATT3[A-Za-z0-9_=-]{60,250}",
    "square": r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}",
    "mailgun": r"key-[0-9a-f]{32}",
    "telegram": r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    "hugging-face": r"hf_[A-Za-z]{34}",
    "linear": r"lin_api_[A-Za-z0-9]{40}",
    "new-relic": r"NRAK-[A-Z0-9]{27}",
    "azure": r"AccountKey=[A-Za-z0-9+/]{86}==",
    "age": r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "discord": r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_-]{60,70}",
}
"""By publisher. No part of a pattern repeats what the part after it may begin with, except at a bounded length."""
_ANY: Final = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_FORMATS.values())})(?![A-Za-z0-9_])")
_HINTS: Final = re.compile(
    r"A(?:KIA|SIA|BIA|CCA|Iza|TATT3|GE-|ccountKey)|gh[pousr]_|github_|gl[a-z]{2,4}-|[sr]k[_-]|whsec|xox|xapp|slack|ya29"
    r"|GOCSPX|npm_|pypi-|-----B|eyJ|SG\.|SK[0-9a-f]|shp|do[opr]_|hv[sbr]\.|dapi|sq0|key-|:AA|hf_|lin_|NRAK|discord"
)
MIN_LENGTH: Final = 20
_FEW: Final = 7
"""Different characters of a placeholder such as ``ghp_xxxxxxxx``."""


def contains_access_key(text: str) -> bool:
    """Return whether a text contains an access key.

    >>> contains_access_key("token: npm_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3nR6")
    True
    >>> contains_access_key("ghp_" + "x" * 36)
    False
    """
    if len(text) < MIN_LENGTH or _HINTS.search(text) is None:
        return False
    return any(found[0][0] == "-" or len(set(found[0][4:])) > _FEW for found in _ANY.finditer(text))
