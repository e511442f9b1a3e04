"""D5 on requests: a JSON document nested deeper than Python's parser allows."""

import json

from backwatch.attack.techniques.document import ReadsDocuments

DEPTH = 100_000


class HttpDeepJson(ReadsDocuments):
    """``RecursionError`` is no ``ValueError``: an app that handles invalid JSON does not handle it."""

    attack = "answers with a JSON document of a hundred thousand brackets, at which the app's parser gives up"
    reference = "https://cwe.mitre.org/data/definitions/674.html; ATT&CK T1499.004"
    notices = "a worker that ends with an unexpected exception"
    kind = b"application/json"
    honest = b'{"base": "EUR", "rates": {"USD": 1.08, "GBP": 0.85}}'
    hostile = b"[" * DEPTH + b"]" * DEPTH
    shows = RecursionError.__name__

    def read(self, text: bytes) -> object:
        """Return the rates, or nothing if the document is invalid."""
        try:
            return json.loads(text)
        except ValueError:
            return {}
        except RecursionError as error:  # this would crash the app's worker; the result reports it
            return type(error).__name__
