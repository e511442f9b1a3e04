"""Commands of IMAP, POP3 and FTP: the verb and the shape of its arguments, never a name, a number or a secret.

Pure functions, linear in the length of the text, which is bounded first.
"""

import re
from collections.abc import Iterable
from typing import Final

from backwatch.collector.redaction.messaging import redact_destination
from backwatch.collector.statements.spec import split_words

MAX_TEXT: Final = 1_000
MAX_WORDS: Final = 60
POP3: Final = split_words(
    "USER PASS APOP AUTH STAT LIST RETR DELE NOOP RSET QUIT TOP UIDL CAPA STLS UTF8 RPOP XTND LAST LANG"
)
FTP: Final = split_words(
    """
    USER PASS ACCT CWD CDUP SMNT QUIT REIN PORT PASV TYPE STRU MODE RETR STOR STOU APPE ALLO REST RNFR RNTO ABOR DELE
    RMD MKD PWD LIST NLST SITE SYST STAT HELP NOOP FEAT OPTS AUTH PBSZ PROT CCC EPRT EPSV SIZE MDTM MLSD MLST MFMT
    XCWD XMKD XPWD XRMD CLNT HOST LANG HASH
    """
)
_PATHS: Final = split_words(
    "CWD RETR STOR STOU APPE RNFR RNTO DELE RMD MKD LIST NLST SIZE MDTM MLSD MLST XCWD XMKD XRMD STAT"
)
_IMAP_NAMES: Final = split_words(
    """
    APPEND AUTHENTICATE CAPABILITY CHECK CLOSE COPY CREATE DELETE DELETEACL ENABLE EXAMINE EXPUNGE FETCH GETACL
    GETANNOTATION GETQUOTA GETQUOTAROOT ID IDLE LIST LOGIN LOGOUT LSUB MOVE MYRIGHTS NAMESPACE NOOP PARTIAL PROXYAUTH
    RENAME SEARCH SELECT SETACL SETANNOTATION SETQUOTA SORT STARTTLS STATUS STORE SUBSCRIBE THREAD UID UNSELECT
    UNSUBSCRIBE
    """
)
_IMAP_WORDS: Final = _IMAP_NAMES | split_words(
    """
    ALL ANSWERED BCC BEFORE BODY CC DELETED DRAFT FLAGGED FROM HEADER KEYWORD LARGER NEW NOT OLD ON OR RECENT SEEN
    SENTBEFORE SENTON SENTSINCE SINCE SMALLER SUBJECT TEXT TO UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNKEYWORD UNSEEN
    CHARSET UTF-8 US-ASCII ENVELOPE FLAGS FULL FAST INTERNALDATE RFC822 RFC822.HEADER RFC822.SIZE RFC822.TEXT BODY.PEEK
    BODYSTRUCTURE HEADER.FIELDS HEADER.FIELDS.NOT MIME FLAGS.SILENT MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ MODSEQ
    ARRIVAL DATE REVERSE SIZE ORDEREDSUBJECT REFERENCES CONDSTORE QRESYNC INBOX X-GM-MSGID X-GM-THRID X-GM-LABELS
    """
)
_MAILBOX_FIRST: Final = split_words(
    """
    SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE STATUS APPEND GETACL SETACL DELETEACL MYRIGHTS
    GETQUOTAROOT
    """
)
_TOKEN: Final = re.compile(r'"[^"]*+"?+|[()\[\]]|[^\s()\[\]"]++')
_FLAG: Final = re.compile(r"\\(?:Seen|Answered|Flagged|Deleted|Draft|Recent|\*)", re.IGNORECASE)


def redact_pop3(line: str) -> tuple[str, str]:
    """Return verb and statement of a line of POP3.

    >>> redact_pop3("PASS hunter2"), redact_pop3("retr 17"), redact_pop3("TOP 3 0"), redact_pop3("hunter2")
    (('PASS', 'PASS ?'), ('RETR', 'RETR ?'), ('TOP', 'TOP ? ?'), ('?', '?'))
    """
    verb, _, rest = line[:MAX_TEXT].partition(" ")
    verb = verb.upper()
    if verb not in POP3:
        return "?", "?"
    if verb in ("USER", "PASS", "APOP", "AUTH"):
        return verb, f"{verb} ?"
    return verb, " ".join([verb, *("?" for _ in rest.split()[:4])])


def redact_ftp(line: str) -> tuple[str, str]:
    """Return verb and statement of a line of FTP, with the parts of a path that do not look like values.

    >>> [redact_ftp(line) for line in ("PASS hunter2", "RETR export/day-20260131.csv", "type I", "hunter2 x")]
    [('PASS', 'PASS ?'), ('RETR', 'RETR export/day-?.csv'), ('TYPE', 'TYPE I'), ('?', '?')]
    """
    verb, _, rest = line[:MAX_TEXT].partition(" ")
    verb = verb.upper()
    if verb not in FTP:
        return "?", "?"
    rest = rest.strip()
    if not rest:
        return verb, verb
    if verb in _PATHS:
        return verb, f"{verb} {redact_mailbox(rest)}"
    if verb in ("TYPE", "PROT", "AUTH", "MODE", "STRU") and rest.upper() in (
        "A",
        "I",
        "P",
        "C",
        "S",
        "F",
        "TLS",
        "SSL",
    ):
        return verb, f"{verb} {rest.upper()}"
    return verb, f"{verb} ?"


def redact_mailbox(name: str) -> str:
    """Return a mailbox or a path without parts that look like values or mail addresses.

    >>> [redact_mailbox(name) for name in ("INBOX", '"Archive/2026"', "user/ann@example.net", "")]
    ['INBOX', 'Archive/?', 'user/?', '?']
    """
    name = name[:MAX_TEXT].strip().strip('"')
    parts = ["?" if "@" in part else part for part in name.split("/")]
    return redact_destination("/".join(parts)) if name else "?"


def redact_imap(name: str, arguments: Iterable[object]) -> tuple[str, str]:
    """Return operation and statement of an IMAP command: words of the protocol, and mailboxes.

    >>> redact_imap("LOGIN", ["ann", "hunter2"])
    ('LOGIN', 'LOGIN ?')
    >>> redact_imap("SEARCH", [None, '(FROM "TO hunter2" SINCE 1-Feb-2026)'])
    ('SEARCH', 'SEARCH ( FROM ? SINCE ? )')
    >>> redact_imap("uid", ["FETCH", "1:20", "(BODY.PEEK[] FLAGS)"])
    ('UID FETCH', 'UID FETCH ? ( BODY.PEEK [ ] FLAGS )')
    >>> redact_imap("STORE", ["3", "+FLAGS", "(\\\\Deleted hunter2)"]), redact_imap("SELECT", ["Archive/2026"])
    (('STORE', 'STORE ? +FLAGS ( \\\\Deleted ? )'), ('SELECT', 'SELECT Archive/?'))
    """
    verb = name.upper()
    if verb not in _IMAP_NAMES:
        return "?", "?"
    texts = [_text(argument) for argument in arguments if argument is not None]
    if verb in ("LOGIN", "AUTHENTICATE", "PROXYAUTH", "ID"):
        return verb, f"{verb} ?"
    if verb == "UID" and texts and texts[0].upper() in _IMAP_NAMES:
        verb = f"UID {texts.pop(0).upper()}"
    words: list[str] = []
    if verb in _MAILBOX_FIRST and texts:
        words.append(redact_mailbox(texts.pop(0)))
    for found in _TOKEN.finditer(" ".join(texts)[:MAX_TEXT]):
        word = _word(found[0])
        if word != "?" or not words or words[-1] != "?":
            words.append(word)
        if len(words) >= MAX_WORDS:
            break
    return verb, " ".join([verb, *words])


def _word(token: str) -> str:
    if token in ("(", ")", "[", "]"):
        return token
    if _FLAG.fullmatch(token):
        return token[:1] + token[1:].capitalize()
    sign = token[0] if token[0] in "+-" else ""
    word = token[len(sign) :].upper()
    return sign + word if word in _IMAP_WORDS else "?"


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else str(value)
    return text[:MAX_TEXT]
