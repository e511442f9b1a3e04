"""Small live apps on the library's tables, for tests of whole campaigns under ``backwatch run``.

    backwatch run -- python -m bench.campaigns.apps.flask_app URL PORT

``URL`` names a database that ``bench.campaigns.databases.connect(URL).fill()`` has filled: ``sqlite:////FILE``,
``postgresql://…`` or ``mysql://…`` (not Django). Each app prints ``ready`` and serves the same routes. Three are
vulnerable: ``/find`` in the number ``id`` and in the text ``name``, ``/sorted`` in the expression ``by``, and
``/neighbours`` in the city that ``/move`` stored.
"""

HONEST = (
    "/member?id={member}", "/titles?word={word}", "/loans?member={member}", "/branches",
    "/find?id={member}&name={word}", "/sorted?by={sort}", "/move?member={member}&city={city}",
    "/neighbours?member={member}",
)  # fmt: skip
"""Paths of honest requests; ``drive`` fills them in."""
BUGS = ("/find?id=5&name=o%27brien", "/find?id=abc&name=a")
"""Honest input that breaks the statement of ``/find``; the second one names a column that does not exist."""
