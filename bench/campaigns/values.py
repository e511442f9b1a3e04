"""Honest values of the app's request fields."""

import datetime as dt
from collections.abc import Callable
from random import Random

MEMBERS, TITLES, COPIES, BRANCHES, SUBJECTS, AUTHORS = 200, 150, 300, 8, 12, 60
SURNAMES = (
    "Ahmed", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kowalski", "Lopez",
    "Moreau", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Varga", "Weber", "Yilmaz",
)  # fmt: skip
QUOTED_SURNAMES = ("O'Brien", "D'Angelo", "O'Neill", "N'Diaye", "L'Ecuyer", "Dell'Acqua", "O'Hara-O'Dea")
GIVEN = (
    "Ada",
    "Ben",
    "Chloe",
    "David",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaya",
    "Lena",
    "Mio",
    "Nora",
)
CITIES = ("Lyon", "Porto", "Gent", "Turku", "Graz", "Brno", "Cork", "Split", "Bergen", "Malaga")
WORDS = (
    "garden", "river", "winter", "silence", "union", "select", "table", "order", "night", "stone", "glass", "island",
    "group", "travel", "letters", "machine", "drop", "light", "house", "history", "values", "where", "case", "index",
)  # fmt: skip
PLAIN_TEXTS = (
    "Please select another copy and drop it at the desk", "A long book, but worth it (all 800 pages)",
    "see p. 12 -- 14",
    "Five stars; would read again", "Where is volume 2?", "Update: the union of both parts is better",
    "100% recommended",
    "Delete this review from my account if you can", "Order by post was quick", "not for me", "or maybe and then again",
    "the table of contents is wrong; insert page 3", "/* my favourite */", "alter ego, and having fun", "null and void",
)  # fmt: skip
QUOTED_TEXTS = (
    "It's a union of select essays; don't drop it", "The poster showed ' OR '1'='1 as art",
    "Can't say 1=1 more clearly",
    "Robert'); DROP TABLE students;-- is the best chapter", "O'Reilly's \"SELECT * FROM life\"",
    "d'accord -- c'est bien",
    "admin'-- as a login? chapter 3's example", "isn't it ' UNION SELECT password FROM staff ' as a joke on page 9",
)  # fmt: skip
PHRASES = ("Union of Shadows", "Select Poems", "Drop by Drop", "Where Rivers Order", "The Table", "Case and Index")
STATES = ("shelf", "lent", "repair", "lost", "transit")
LANGUAGES = ("en", "fr", "de", "pt", "fi")
REASONS = ("late", "damage", "lost", "card")
SETTINGS = ("loan_days", "fine_per_day", "max_holds", "banner", "mail_from", "closed_on")
ROLES = ("desk", "admin", "stock")
SORTS = ("name", "year", "price", "language", "id")
MEMBER_SORTS = ("m.full_name", "m.joined", "m.city", "m.id")
HASHES = tuple(f"{Random(number).getrandbits(128):032x}" for number in range(1, 13))
TODAY = dt.date(2026, 1, 5)


def _number(low: int, high: int) -> Callable[[Random], str]:
    return lambda random: str(random.randint(low, high))


def _choice(*options: str) -> Callable[[Random], str]:
    return lambda random: random.choice(options)


def _numbers(high: int, most: int) -> Callable[[Random], str]:
    return lambda random: ", ".join(str(random.randint(1, high)) for _ in range(random.randint(1, most)))


def past_date(random: Random) -> str:
    """Return a day of the last two years."""
    return (TODAY - dt.timedelta(days=random.randint(0, 730))).isoformat()


def full_name(random: Random) -> str:
    """Return a name; every fifth has an apostrophe."""
    return f"{random.choice(GIVEN)} {random.choice(QUOTED_SURNAMES if random.random() < 0.2 else SURNAMES)}"


def text(random: Random) -> str:
    """Return a text that needs escaping half of the time."""
    return random.choice(QUOTED_TEXTS if random.random() < 0.5 else PLAIN_TEXTS)


def _money(low: int, high: int) -> Callable[[Random], str]:
    return lambda random: f"{random.randint(low, high)}.{random.randint(0, 99):02}"


FIELDS: dict[str, Callable[[Random], str]] = {
    "member_id": _number(1, MEMBERS), "title_id": _number(1, TITLES), "copy_id": _number(1, COPIES),
    "branch_id": _number(1, BRANCHES), "to_branch": _number(1, BRANCHES), "subject_id": _number(1, SUBJECTS),
    "author_id": _number(1, AUTHORS), "loan_id": _number(1, 500), "hold_id": _number(1, 120), "fine_id": _number(1, 80),
    "event_id": _number(1, 30), "staff_id": _number(1, 12), "review_id": _number(1, 120), "seats": _number(1, 4),
    "title_ids": _numbers(TITLES, 9), "member_ids": _numbers(MEMBERS, 6), "branch_ids": _numbers(BRANCHES, 4),
    "stars": _number(1, 5), "minimum": _number(1, 20), "flag": _choice("1", "1", "1", "0"), "days": _number(1, 60),
    "limit": _choice("10", "20", "25", "50", "100"), "offset": lambda random: str(5 * random.randint(0, 6)),
    "low": _money(0, 19), "high": _money(20, 80), "amount": _money(1, 80), "year": _number(1890, 2025),
    "year_to": _number(1950, 2026),
    "card_no": lambda random: f"L{random.randint(1, MEMBERS):06}",
    "barcode": lambda random: f"B{random.getrandbits(40)}",
    "isbn": lambda random: f"978-{random.randint(1, TITLES):06}", "word": _choice(*WORDS), "city": _choice(*CITIES),
    "prefix": lambda random: random.choice(SURNAMES)[: random.randint(1, 3)], "full_name": full_name, "text": text,
    "surname": _choice(*SURNAMES), "plain_text": _choice(*PLAIN_TEXTS),
    "phone": lambda random: f"+351 {random.getrandbits(27)}",
    "email": lambda random: f"reader{random.randint(1, MEMBERS)}@example.org", "date": past_date, "date_to": past_date,
    "sort": _choice(*SORTS), "member_sort": _choice(*MEMBER_SORTS), "direction": _choice("ASC", "DESC"),
    "state": _choice(*STATES), "language": _choice(*LANGUAGES), "reason": _choice(*REASONS),
    "setting": _choice(*SETTINGS),
    "login": lambda random: f"desk{random.randint(1, 12)}", "hash": _choice(*HASHES),
    "status": _choice("open", "ready", "done"), "method": _choice("cash", "card", "transfer"),
    "shelf": _choice("A1", "B2", "C7"),
    "phrase": _choice(*PHRASES), "reference": lambda random: f"P-{random.getrandbits(24)}", "role": _choice(*ROLES),
}  # fmt: skip
"""A generator for each field of a request."""
