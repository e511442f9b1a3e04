"""Facts about the request: the statement, and the code that sent it."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.facts.fact import Fact

FACTS: Final = (
    Fact(
        name=names.QUERY_TEXT, type="text", scope="call", kind="statement", domain="statement", order=-140,
        older=("db.statement",),
        label="Query", meaning="Canonical text of a query; literals are ?.",
        example="SELECT name FROM users WHERE id = ?",
    ),
    Fact(
        name=names.OPERATION, type="text", scope="call", kind="statement", domain="statement", order=-120,
        older=("db.operation",),
        label="Operation", meaning="Operation: SELECT, CONFIG SET, find, PutObject.", example="SELECT",
    ),
    Fact(
        name=names.DB_COLLECTION, type="text", scope="call", kind="statement",
        older=("db.sql.table", "db.mongodb.collection"),
        label="Collection", meaning="Table or collection that a third-party instrumentation names.", example="orders",
    ),
    Fact(
        name=names.STATEMENT, type="text", scope="call", kind="statement", domain="statement", order=-130,
        label="Statement",
        meaning="Canonical text of a call that is not SQL: command, method and path template, mail domains.",
        example="GET /orders/?",
    ),
    Fact(
        name=names.QUERY_SIGNS, type="words", scope="call", kind="statement", domain="content", order=-70,
        label="Injection signs",
        meaning="Injection signs in the raw statement, found before redaction: words of a fixed list.",
        example="tautology,comment-tail",
    ),
    Fact(
        name=names.HTTP_METHOD, type="text", scope="call", kind="statement", domain="content", order=-110,
        older=("http.method",),
        label="HTTP method", meaning="Method of the request.", example="GET",
    ),
    Fact(
        name=names.HTTP_STATUS, type="number", scope="call", kind="errors", domain="content", order=80,
        older=("http.status_code",),
        label="HTTP status", meaning="Status of the response.", example=200,
    ),
    Fact(
        name=names.HTTP_ROUTE, type="text", scope="call", kind="caller", order=-100,
        label="Route", meaning="Route of the request that the app was serving.", example="/orders/{id}",
    ),
    Fact(
        name=names.URL_FULL, type="text", scope="call", kind="statement", order=-90, older=("http.url",),
        label="URL", meaning="URL of the request, from a third-party instrumentation.", example="https://api.internal/orders",
    ),
    Fact(
        name=names.URL_SECRET, type="flag", scope="call", kind="statement", domain="content", order=-80,
        label="Secret in URL", meaning="The query of the request's URL holds a key, a token or a password.",
        example=True,
    ),
    Fact(
        name=names.MESSAGING_OPERATION, type="text", scope="call", kind="statement",
        older=("messaging.operation.type", "messaging.operation"),
        label="Messaging operation", meaning="Operation that a third-party instrumentation names.", example="publish",
    ),
    Fact(
        name=names.RPC_SERVICE, type="text", scope="call", kind="statement",
        label="RPC service", meaning="Service that a third-party instrumentation names.", example="shop.Orders",
    ),
    Fact(
        name=names.RPC_METHOD, type="text", scope="call", kind="statement",
        label="RPC method", meaning="Method that a third-party instrumentation names.", example="Get",
    ),
    Fact(
        name=names.SPAN_NAME, type="text", scope="span", kind="statement",
        label="Span name", meaning="Name of the span.", example="SELECT shop",
    ),
    Fact(
        name=names.CODE_FUNCTION, type="text", scope="call", kind="caller", order=90, older=("code.function",),
        label="Function", meaning="Function of the app that made the call.", example="load_order",
    ),
    Fact(
        name=names.CODE_FILE, type="text", scope="call", kind="caller", order=100, older=("code.filepath",),
        label="File", meaning="File of that function.", example="shop/orders.py",
    ),
    Fact(
        name=names.CODE_LINE, type="number", scope="call", kind="caller", order=110, older=("code.lineno",),
        label="Line", meaning="Line of the call.", example=42,
    ),
    Fact(
        name=names.CALL_PATH, type="text", scope="call", kind="caller", order=95,
        label="Call path",
        meaning="Functions of the app on the way to the call: the caller, the call site, a helper that passed it on.",
        example="app.py:find > app.py:rows",
    ),
)  # fmt: skip
