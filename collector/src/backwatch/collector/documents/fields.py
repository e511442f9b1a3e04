"""Names of fields that decide who someone is: credentials, identities, ids."""

import re
from functools import lru_cache
from typing import Final

CREDENTIAL, WEAK_CREDENTIAL, IDENTITY, ID, REFERENCE, OTHER = range(6)
"""A secret; a word that often is one; an account's name; a document's own id; the id of another; anything else."""
MAX_NAME: Final = 200

_WORDS: Final = re.compile(r"[A-Z]?[a-z]++|[A-Z]++(?![a-z])|[0-9]++")
_SECRETS: Final = frozenset((
    "password", "passwd", "passwrd", "pwd", "pass", "passphrase", "passcode", "passwort", "secret", "token", "otp",
    "apikey", "credential", "credentials", "jwt", "psw", "userpassword", "accesstoken", "resettoken", "authtoken",
    "refreshtoken", "hashedpassword", "passwordhash", "clientsecret", "unicodepwd", "sessiontoken",
))  # fmt: skip
_WEAK: Final = frozenset((
    "code", "pin", "sid", "session", "sessionid", "hash", "coupon", "voucher", "invite", "key", "captcha", "answer",
))  # fmt: skip
_IDENTITIES: Final = frozenset((
    "user", "username", "login", "email", "mail", "account", "uid", "uname", "usr", "samaccountname", "phone",
    "userprincipalname", "nickname", "useremail", "loginname",
))  # fmt: skip
_OPEN: Final = frozenset((
    "device", "fcm", "push", "apns", "page", "next", "sync", "bar", "public", "notification", "registration", "expo",
))  # fmt: skip
"""Words before ``token`` of tokens that prove nothing."""


@lru_cache(maxsize=1_024)
def classify_field(path: str) -> int:
    """Return the class of a field by the last part of its path.

    >>> [classify_field(name) for name in ("user.password", "resetToken", "resetPasswordExpires", "deviceToken")]
    [0, 0, 5, 5]
    >>> [classify_field(name) for name in ("email", "userName", "_id", "orderId", "statusCode", "price")]
    [2, 2, 3, 4, 1, 5]
    """
    name = path[:MAX_NAME].rpartition(".")[2] if not path.endswith(".keyword") else path[:-8].rpartition(".")[2]
    if name in ("_id", "id", "ID", "Id", "uuid"):
        return ID
    words = [word.lower() for word in _WORDS.findall(name)]
    while words and words[-1].isdecimal():
        words.pop()
    if not words:
        return OTHER
    last, joined = words[-1], "".join(words)
    before = words[-2] if len(words) > 1 else ""
    if joined in _SECRETS or (last in _SECRETS and not (_OPEN.intersection(words) and last == "token")):
        return CREDENTIAL
    if (before, last) in (("api", "key"), ("secret", "key"), ("private", "key")):
        return CREDENTIAL
    if last in ("hash", "digest") and before in _SECRETS:
        return CREDENTIAL
    if joined in _IDENTITIES or last in _IDENTITIES or (before, last) in (("user", "name"), ("login", "name")):
        return IDENTITY
    if last in _WEAK:
        return WEAK_CREDENTIAL
    return REFERENCE if last in ("id", "uuid", "guid", "oid") else OTHER
