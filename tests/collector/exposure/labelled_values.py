"""Labelled columns of values in many formats and languages, made by construction; recognisers are not used here.

Check digits are computed by their definitions, not by the collector's tables.
"""

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final, NamedTuple

ROWS: Final = 12
"""Values of one column."""
UPPER: Final = string.ascii_uppercase
ALNUM: Final = string.ascii_letters + string.digits


class LabelledColumn(NamedTuple):
    """Values of one kind under a name that shows nothing; ``kind`` is empty for near misses."""

    kind: str
    format: str
    values: list[object]


def _digits(chance: random.Random, count: int, first: str = "0123456789") -> str:
    return chance.choice(first) + "".join(chance.choices(string.digits, k=count - 1))


def _born(chance: random.Random) -> date:
    return date(1930, 1, 1) + timedelta(days=chance.randrange(33_000))


def _sum_of_digits(number: int) -> int:
    return sum(map(int, str(number)))


def luhn_digit(body: str) -> str:
    """Return the check digit of ISO/IEC 7812: doubled digits count by the sum of their own digits."""
    total = sum(_sum_of_digits(int(digit) * (2 if at % 2 == 0 else 1)) for at, digit in enumerate(reversed(body)))
    return str((10 - total % 10) % 10)


def _weighted(body: str, weights: list[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))


# --- payment ---

_ISSUERS: Final = {
    "visa": ("4", 16), "mastercard": ("52", 16), "mastercard-2": ("2345", 16), "amex": ("37", 15),
    "discover": ("6011", 16), "jcb": ("3530", 16), "unionpay": ("6225", 16), "diners": ("36", 14),
}  # fmt: skip


def make_card(chance: random.Random) -> str:
    """Return a card number of a random issuer, written with blanks, dashes or nothing."""
    prefix, length = _ISSUERS[chance.choice(list(_ISSUERS))]
    body = prefix + _digits(chance, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    mark = chance.choice(("", "", " ", "-"))
    groups = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    parts, at = list[str](), 0
    for size in groups:
        parts.append(number[at : at + size])
        at += size
    return mark.join(parts)


_IBANS: Final[dict[str, Callable[[random.Random], str]]] = {
    "DE": lambda chance: _digits(chance, 18),
    "FR": lambda chance: (
        _digits(chance, 10) + "".join(chance.choices(string.digits + UPPER, k=11)) + _digits(chance, 2)
    ),
    "GB": lambda chance: "".join(chance.choices(UPPER, k=4)) + _digits(chance, 14),
    "NL": lambda chance: "".join(chance.choices(UPPER, k=4)) + _digits(chance, 10),
    "ES": lambda chance: _digits(chance, 20),
    "IT": lambda chance: chance.choice(UPPER) + _digits(chance, 10) + "".join(chance.choices(string.digits, k=12)),
    "PL": lambda chance: _digits(chance, 24),
    "SE": lambda chance: _digits(chance, 20),
    "CH": lambda chance: _digits(chance, 17),
    "NO": lambda chance: _digits(chance, 11),
    "MT": lambda chance: (
        "".join(chance.choices(UPPER, k=4)) + _digits(chance, 5) + "".join(chance.choices(string.digits + UPPER, k=18))
    ),
}


def make_iban(chance: random.Random) -> str:
    """Return an account number of a random country, sometimes in groups of four."""
    country = chance.choice(list(_IBANS))
    account = _IBANS[country](chance)
    number = int("".join(str(int(letter, 36)) for letter in account + country + "00"))
    text = f"{country}{98 - number % 97:02}{account}"
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4)) if chance.random() < 0.4 else text


# --- contact ---

_LOCALS: Final = (
    "maria.garcia", "j.müller", "zoë", "o'connor", "anna-lena", "piotr_kowalski", "li.wei", "yuki.tanaka", "info",
    "first.last+newsletter", "b.schmidt1987", "søren", "joão.silva", "иван.петров", "x",
)  # fmt: skip
_DOMAINS: Final = (
    "example.com", "mail.example.org", "beispiel.de", "exemple.fr", "ejemplo.es", "esempio.it", "example.co.uk",
    "przyklad.pl", "exempel.se", "exemplo.com.br", "例子.com", "пример.рф", "sub.dept.example.edu", "my-firm.io",
)  # fmt: skip


def make_email(chance: random.Random) -> str:
    """Return an address, sometimes with its owner's name or within a sentence."""
    address = f"{chance.choice(_LOCALS)}{chance.choice(('', str(chance.randrange(99))))}@{chance.choice(_DOMAINS)}"
    return chance.choice((
        "{}", "{}", "{}", "Anna Nowak <{}>", "Bitte an {} schicken, danke!", "Escriba a {}.", "contact: {}, merci",
        "mailto:{}", '{{"to": "{}"}}',
    )).format(address)  # fmt: skip


def make_phone(chance: random.Random) -> str:
    """Return a number with its country's code, in several ways of writing."""
    code, size = chance.choice((
        ("49", 10), ("33", 9), ("34", 9), ("39", 10), ("44", 10), ("48", 9), ("55", 11), ("91", 10), ("86", 11),
        ("81", 10), ("358", 9), ("31", 9), ("46", 9), ("351", 9), ("972", 9), ("7", 10), ("1", 10),
    ))  # fmt: skip
    number = _digits(chance, size, "9" if code == "7" else "23456789")
    if code == "1":
        number = number[:3] + chance.choice("23456789") + number[4:]
    if chance.random() < 0.5:
        return f"+{code}{number}"
    mark = chance.choice(" -")
    return f"+{code}{mark}{number[:3]}{mark}{number[3:6]}{mark}{number[6:]}"


# --- keys ---


def make_access_key(chance: random.Random) -> str:
    """Return a key in one of the published formats, by itself or in a setting."""

    def text(count: int, letters: str = ALNUM) -> str:
        return "".join(chance.choices(letters, k=count))

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    body = encode(f'{{"sub":"{text(12)}","iat":17{text(8, string.digits)}}}'.encode())
    head = encode(b'{"alg":"HS256","typ":"JWT"}')
    key = chance.choice((
        "AKIA" + text(16, UPPER + "234567"), "ASIA" + text(16, UPPER + "234567"), "ghp_" + text(36),
        "github_pat_" + text(22) + "_" + text(59), "sk_live_" + text(24), "rk_test_" + text(24),
        f"xoxb-{text(12, string.digits)}-{text(12, string.digits)}-{text(24)}", "AIza" + text(35, ALNUM + "-_"),
        "glpat-" + text(20), "npm_" + text(36), f"{head}.{body}.{text(43, ALNUM + '-_')}",
        "-----BEGIN RSA PRIVATE KEY-----\n" + text(64) + "\n", "-----BEGIN PRIVATE KEY-----\n" + text(64),
        f"SG.{text(22)}.{text(43)}", "dop_v1_" + text(64, "0123456789abcdef"), "pypi-AgEIcHlwaS5vcmc" + text(70),
        "https://hooks.slack.com/services/T" + text(9, UPPER) + "/B" + text(9, UPPER) + "/" + text(24),
    ))  # fmt: skip
    return chance.choice(("{}", "{}", "token={}", "export KEY={}", "Authorization: Bearer {}")).format(key)


# --- national ids ---


def _dni(chance: random.Random) -> str:
    number = chance.randrange(10**8)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]
    return f"{number:08}{chance.choice(('', '-'))}{letter}"


def _nie(chance: random.Random) -> str:
    first, rest = chance.randrange(3), _digits(chance, 7)
    return f"{'XYZ'[first]}{rest}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(f'{first}{rest}') % 23]}"


def _codice_fiscale(chance: random.Random) -> str:
    odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]
    day = _born(chance)
    body = "".join(chance.choices(UPPER, k=6)) + f"{day.year % 100:02}{'ABCDEHLMPRST'[day.month - 1]}"
    body += f"{day.day + chance.choice((0, 40)):02}{chance.choice('ABCDEFGHIL')}{_digits(chance, 3)}"
    values = [int(letter) if letter.isdigit() else ord(letter) - 65 for letter in body]
    total = sum(odd[value] if at % 2 == 0 else value for at, value in enumerate(values))
    return body + UPPER[total % 26]


def _bsn(chance: random.Random) -> str:
    while True:
        body = _digits(chance, 8)
        rest = _weighted(body, [9, 8, 7, 6, 5, 4, 3, 2]) % 11
        if rest < 10:
            return body + str(rest)


def _pesel(chance: random.Random) -> str:
    day = _born(chance)
    body = f"{day.year % 100:02}{day.month + (20 if day.year >= 2000 else 0):02}{day.day:02}{_digits(chance, 4)}"
    return body + str((10 - _weighted(body, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10)


def _cpf(chance: random.Random) -> str:
    body = _digits(chance, 9)
    for size in (10, 11):
        rest = _weighted(body, list(range(size, 1, -1))) * 10 % 11
        body += str(rest % 10)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}" if chance.random() < 0.5 else body


def _cnpj(chance: random.Random) -> str:
    body = _digits(chance, 8) + "0001"
    for weights in ([5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]):
        rest = _weighted(body, weights) * 10 % 11
        body += str(rest % 10)
    return f"{body[:2]}.{body[2:5]}.{body[5:8]}/{body[8:12]}-{body[12:]}" if chance.random() < 0.5 else body


def _personnummer(chance: random.Random) -> str:
    body = f"{_born(chance):%y%m%d}{_digits(chance, 3)}"
    return f"{body[:6]}-{body[6:]}{luhn_digit(body)}"


def _hetu(chance: random.Random) -> str:
    day, number = _born(chance), f"{chance.randrange(2, 900):03}"
    check = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(f"{day:%d%m%y}{number}") % 31]
    return f"{day:%d%m%y}{'A' if day.year >= 2000 else '-'}{number}{check}"


def _nir(chance: random.Random) -> str:
    day = _born(chance)
    body = f"{chance.choice('12')}{day:%y%m}{chance.randrange(1, 96):02}{_digits(chance, 6)}"
    text = body + f"{97 - int(body) % 97:02}"
    if chance.random() < 0.5:
        return text
    return f"{text[0]} {text[1:3]} {text[3:5]} {text[5:7]} {text[7:10]} {text[10:13]} {text[13:]}"


def _steuer_id(chance: random.Random) -> str:
    used = chance.sample(string.digits, 9)
    body = [*used, chance.choice(used)]
    chance.shuffle(body)
    if body[0] == "0":
        at = next(at for at, digit in enumerate(body) if digit != "0")
        body[0], body[at] = body[at], body[0]
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10
        product = (10 if total == 0 else total) * 2 % 11
    check = 11 - product
    return "".join(body) + str(0 if check == 10 else check)


def _verhoeff_digit(body: str) -> str:
    """Return Verhoeff's check digit, by the dihedral group of order ten and the powers of his permutation."""

    def multiply(left: int, right: int) -> int:
        if left < 5:
            return (left + right) % 5 + (0 if right < 5 else 5)
        return (left - right) % 5 + (5 if right < 5 else 0)

    permutation = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for at, digit in enumerate(reversed(body), 1):
        value = int(digit)
        for _ in range(at % 8):
            value = permutation[value]
        check = multiply(check, value)
    return str(next(digit for digit in range(10) if multiply(check, digit) == 0))


def _aadhaar(chance: random.Random) -> str:
    body = _digits(chance, 11, "23456789")
    text = body + _verhoeff_digit(body)
    return f"{text[:4]} {text[4:8]} {text[8:]}" if chance.random() < 0.5 else text


def _chinese(chance: random.Random) -> str:
    body = f"{chance.choice(('11', '31', '44', '51'))}{_digits(chance, 4)}{_born(chance):%Y%m%d}{_digits(chance, 3)}"
    total = sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


KINDS: Final[dict[str, tuple[str, Callable[[random.Random], object]]]] = {
    "e-mail": ("email", make_email), "phone": ("phone", make_phone), "card": ("card", make_card),
    "iban": ("iban", make_iban), "access key": ("access-key", make_access_key), "Spanish DNI": ("national-id", _dni),
    "Spanish NIE": ("national-id", _nie), "codice fiscale": ("national-id", _codice_fiscale),
    "Dutch BSN": ("national-id", _bsn), "Polish PESEL": ("national-id", _pesel), "Brazilian CPF": ("national-id", _cpf),
    "Brazilian CNPJ": ("national-id", _cnpj), "Swedish personnummer": ("national-id", _personnummer),
    "Finnish HETU": ("national-id", _hetu), "French NIR": ("national-id", _nir),
    "German Steuer-ID": ("national-id", _steuer_id), "Indian Aadhaar": ("national-id", _aadhaar),
    "Chinese resident": ("national-id", _chinese),
}  # fmt: skip


def _near_misses() -> dict[str, Callable[[random.Random], object]]:
    def ean(chance: random.Random) -> str:
        body = _digits(chance, 12, "3457")
        return body + str(-_weighted(body, [1, 3] * 6) % 10)

    def isbn(chance: random.Random) -> str:
        body = "978" + _digits(chance, 9)
        return f"978-{body[3]}-{body[4:8]}-{body[8:]}-{-_weighted(body, [1, 3] * 6) % 10}"

    def product_key(chance: random.Random) -> str:
        return "-".join("".join(chance.choices(UPPER + string.digits, k=5)) for _ in range(5))

    hosts = ("db.internal", "node-1.local", "ci.lan")

    def recent(chance: random.Random) -> date:
        return date(2024, 1, 1) + timedelta(chance.randrange(900))

    def broken_iban(chance: random.Random) -> str:
        text = make_iban(chance)
        return text[:2] + f"{int(text[2:4]) % 96 + 1:02}" + text[4:]

    def blob(chance: random.Random) -> str:
        return base64.b64encode(chance.randbytes(48)).decode()

    return {
        "order of 16 digits": lambda chance: _digits(chance, 16, "123456789"),
        "order of 16 digits from 4": lambda chance: "4" + _digits(chance, 15),
        "order of 16 digits, as a number": lambda chance: int(_digits(chance, 16, "123456789")),
        "order with a date": lambda chance: f"{recent(chance):%y%m%d}-{_digits(chance, 4)}",
        "order in groups": lambda chance: f"{_digits(chance, 4)}-{_digits(chance, 4)}-{_digits(chance, 4)}",
        "customer of 9 digits": lambda chance: _digits(chance, 9, "123456789"),
        "ticket of 10 digits": lambda chance: _digits(chance, 10, "123456789"),
        "number of 11 digits": lambda chance: _digits(chance, 11, "123456789"),
        "number of 12 digits": lambda chance: _digits(chance, 12, "123456789"),
        "part number": lambda chance: _digits(chance, 8) + chance.choice(UPPER),
        "EAN": ean, "ISBN": isbn, "product key": product_key, "base64": blob,
        "SHA-1": lambda chance: hashlib.sha1(chance.randbytes(8)).hexdigest(),
        "SHA-256": lambda chance: hashlib.sha256(chance.randbytes(8)).hexdigest(),
        "UUID": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "bcrypt": lambda chance: "$2b$12$" + "".join(chance.choices(ALNUM + "./", k=53)),
        "milliseconds": lambda chance: 1_700_000_000_000 + chance.randrange(90_000_000_000),
        "seconds": lambda chance: str(1_700_000_000 + chance.randrange(90_000_000)),
        "microseconds": lambda chance: str(1_700_000_000_000_000 + chance.randrange(9 * 10**13)),
        "snowflake": lambda chance: str(1_100_000_000_000_000_000 + chance.randrange(10**17)),
        "moment": lambda chance: f"{recent(chance)} 1{chance.randrange(9)}:30:15.{_digits(chance, 6)}",
        "compact moment": lambda chance: f"{recent(chance):%Y%m%d}{_digits(chance, 6)}",
        "time zone": lambda chance: f"2026-05-05T10:00:00+{chance.randrange(12):02}00",
        "version": lambda chance: ".".join(_digits(chance, 2) for _ in range(4)),
        "semver": lambda chance: f"1.{chance.randrange(99)}.0-rc.1+{_digits(chance, 7)}",
        "npm package": lambda chance: f"@scope/name@{chance.randrange(9)}.{chance.randrange(99)}.0",
        "user@localhost": lambda chance: f"{chance.choice(_LOCALS)}@localhost",
        "internal user": lambda chance: f"svc{chance.randrange(99)}@{chance.choice(hosts)}",
        "decorator": lambda chance: f"@app.route('/v{chance.randrange(9)}')",
        "matrix id": lambda chance: f"@user{chance.randrange(99)}:matrix.org",
        "git remote": lambda chance: f"git@github.com:team/repo{chance.randrange(99)}.git",
        "systemd unit": lambda chance: f"getty@tty{chance.randrange(9)}.service",
        "image": lambda chance: f"logo{chance.randrange(99)}@2x.png",
        "database URL": lambda chance: f"postgresql://app:secret@db{chance.randrange(9)}.example.com:5432/shop",
        "float": lambda chance: repr(chance.random() * 10**chance.randrange(-8, 16)),
        "signed float": lambda chance: f"+{chance.random() * 1e9:.6f}",
        "money": lambda chance: f"{chance.randrange(10**6):,}.{chance.randrange(100):02} EUR",
        "coordinates": lambda chance: f"{chance.uniform(-90, 90):.7f},{chance.uniform(-180, 180):.7f}",
        "IP address": lambda chance: f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}",
        "MAC address": lambda chance: ":".join(f"{chance.randrange(256):02x}" for _ in range(6)),
        "flight": lambda chance: f"LH{chance.randrange(100, 9999)} FRA-JFK",
        "IMEI": lambda chance: (body := "35" + _digits(chance, 12)) + luhn_digit(body),
        "tracking": lambda chance: "1Z" + "".join(chance.choices(UPPER + string.digits, k=16)),
        "VAT number": lambda chance: "DE" + _digits(chance, 9),
        "placeholder key": lambda chance: chance.choice(("ghp_" + "x" * 36, "sk_test_" + "0" * 24, "AKIA" + "X" * 16)),
        "publishable key": lambda chance: "pk_live_" + "".join(chance.choices(ALNUM, k=24)),
        "public key": lambda chance: "-----BEGIN PUBLIC KEY-----\n" + "".join(chance.choices(ALNUM, k=64)),
        "broken IBAN": broken_iban,
        "colour": lambda chance: f"#{chance.randrange(1 << 24):06x}",
        "slug": lambda chance: f"how-to-{chance.choice(_LOCALS)}-{chance.randrange(9999)}".replace("@", "-"),
        "sentence": lambda chance: f"Order {_digits(chance, 7)} was shipped on 2026-05-1{chance.randrange(9)} to us.",
    }  # fmt: skip


def labelled_columns(seed: int, columns: int) -> Iterator[LabelledColumn]:
    """Yield so many columns of each format, and as many of each near miss."""
    chance = random.Random(seed)
    for name, (kind, make) in KINDS.items():
        for _ in range(columns):
            yield LabelledColumn(kind, name, [make(chance) for _ in range(ROWS)])
    for name, make in _near_misses().items():
        for _ in range(columns):
            yield LabelledColumn("", name, [make(chance) for _ in range(ROWS)])
