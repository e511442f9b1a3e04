"""Phone numbers in the international format (E.164): a plus sign, the country's code, the digits."""

import re
from typing import Final

from backwatch.collector.statements.spec import split_words

_WRITTEN: Final = re.compile(r"\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}")
_TWO: Final = split_words(
    """
    20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86
    90 91 92 93 94 95 98
    """
)
_THREE: Final = split_words(
    """
    211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 239 240 241 242
    243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291
    297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386
    387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599 670 672 673
    674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853 855 856 880 886 960 961 962
    963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998
    """
)
MAX_LENGTH: Final = 30
_MIN_DIGITS: Final = 9
_NORTH_AMERICAN: Final = 11


def is_phone(text: str) -> bool:
    """Return whether a text is a phone number with its country's code.

    >>> is_phone("+49 (0) 170 1234567"), is_phone("+1 415-555-2671"), is_phone("+1.5"), is_phone("+1234567890")
    (True, True, False, False)
    """
    if not text.startswith("+") or len(text) > MAX_LENGTH or _WRITTEN.fullmatch(text) is None:
        return False
    digits = "".join(filter(str.isdigit, text))
    if text.count(".") == 1 or len(set(digits[2:])) <= 1:
        return False  # a signed decimal number, or a filler
    if digits[0] == "1":  # area and exchange begin with 2 to 9
        return len(digits) == _NORTH_AMERICAN and digits[1] >= "2" and digits[4] >= "2"
    if digits[0] == "7":
        return len(digits) == _NORTH_AMERICAN and digits[1] in "3456789"
    return len(digits) >= _MIN_DIGITS and (digits[:2] in _TWO or digits[:3] in _THREE)
