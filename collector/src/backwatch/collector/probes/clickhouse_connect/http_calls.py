"""The reports of clickhouse-connect: what a client asks, and the HTTP requests that it takes.

A client's method knows the statement as the app wrote it and who the server is, the transport below what it sent and
what came back. Its request is claimed from the HTTP library (see ``http/claims.py``), each retry and each hop anew.
"""

import inspect
import json
import re
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import finalize

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_connect.requests import MAX_TEXT, Question, Request, facts_of, login_of
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.redaction.clickhouse import without_data
from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.guard import never_breaks_the_host

KEY: Final = "_backwatch_question"
"""Where a query's context keeps what we know of it: an entry of its ``__dict__``."""
_CODE: Final = re.compile(r"\bcode: (\d{1,6})\b", re.IGNORECASE)
_INSERT: Final = re.compile(r"\s*+insert\b", re.IGNORECASE)


def code_of(error: BaseException) -> str:
    """The server's number for what went wrong; older versions say it in their message alone."""
    code = getattr(error, "code", None)
    if type(code) is int:
        return str(code)
    found = _CODE.search(str(error)[:2_000])
    return found.group(1) if found is not None else ""


def _summary(headers: Any) -> Mapping[str, Any]:
    text = headers.get("X-ClickHouse-Summary")
    if not isinstance(text, str) or len(text) > 10_000:
        return {}
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _count(summary: Mapping[str, Any], name: str) -> int:
    told = str(summary.get(name, ""))[:18]
    return int(told) if told.isdecimal() else -1


class ConnectWatch:
    """Follows clients and their transports.

    Args:
        below: Makes sure that the HTTP libraries that are there hand their requests over.
    """

    def __init__(self, recorder: Recorder, below: Callable[[], None]) -> None:
        self.recorder = recorder
        self.below = below
        self.active = True
        self._question: ContextVar[Question | None] = ContextVar("backwatch_clickhouse_question", default=None)

    def silence(self) -> None:
        """The probe is removed: nothing is told from now on."""
        self.active = False

    # --- what is asked ---

    def asks(self, sql_of: Callable[[Any, dict[str, Any]], object], *, reads: bool = False) -> Any:
        """What to do before a client's method.

        Args:
            sql_of: The statement, of the arguments by their names.
        """

        @never_breaks_the_host
        def entered(client: Any, given: dict[str, Any]) -> Question | None:
            if not self.active:
                return None
            question = Question(client, without_data(sql_of(client, given)), reads=reads)
            if reads:
                given["context"].__dict__[KEY] = question
            question.token = self._question.set(question)
            return question

        return entered

    @never_breaks_the_host
    def asked(self, question: Question | None) -> None:
        """The method is done: rows that nobody takes apart are not waited for."""
        if question is None:
            return
        if question.token is not None:
            reset_variable(self._question, question.token)
        if question.reads and not question.parsed and question.request is not None:
            self._release(question.request)

    # --- what is sent ---

    @never_breaks_the_host
    def begin(self, owner: Any, given: dict[str, Any], *, ping: bool = False) -> Request | None:
        """A transport is about to send."""
        if not self.active:
            return None
        self.below()
        question = None if ping else self._question.get()
        method = "GET" if ping else words(given.get("method") or "POST", 20).upper()
        path = urlsplit(words(getattr(owner, "url", ""), 2_000)).path.rstrip("/") + "/ping" if ping else ""
        made = Request(self.recorder, owner, question, method, path)
        if ping:
            made.operation = "ping"
        else:
            made.sql = question.sql if question is not None else _text(given)
            made.waits = given.get("server_wait") is not False
        params = given.get("params") or {}
        own = getattr(owner, "params", None) or getattr(owner, "client_settings", None) or {}
        made.names["namespace"] = words(params.get("database") or own.get("database"), MAX_TEXT)
        made.names.update(login_of({**(getattr(owner, "headers", None) or {}), **(given.get("headers") or {})}))
        if question is not None and question.version:
            made.names["server_version"] = question.version
        if question is not None:
            question.request = made
        return made

    @never_breaks_the_host
    def answered(self, request: Request, response: Any) -> None:
        """The head of an answer came that is no error; its body may still be on its way."""
        attempt, question = request.attempt, request.question
        if attempt is None or attempt.told:
            return
        status = int(getattr(response, "status", 0) or 0)
        attempt.facts = ((names.HTTP_STATUS, status),) if status else ()
        summary = _summary(getattr(response, "headers", None) or {})
        if _is_insert(request.sql):
            attempt.rows_affected = _count(summary, "written_rows")
        elif request.waits:
            attempt.rows_returned = _count(summary, "result_rows")
        if question is not None and question.reads:
            attempt.hold()
        attempt.finish(body_follows=True)

    @never_breaks_the_host
    def pinged(self, request: Request) -> None:
        """Whatever came of it, the client says no more than whether."""
        attempt = request.attempt
        if attempt is not None and not attempt.told:
            attempt.facts = facts_of(attempt.carried_by)
            attempt.finish()

    @never_breaks_the_host
    def failed(self, request: Request, error: BaseException) -> None:
        """The server said that something is wrong, or did not answer."""
        attempt = request.attempt
        if attempt is None or attempt.told:
            return
        carried = attempt.carried_by
        status = carried.status if carried is not None else 0
        attempt.facts = facts_of(carried, code_of(error) if status else "")
        attempt.error = error if status or carried is None or carried.error is None else root_error(error)
        attempt.finish()

    # --- what is read ---

    @never_breaks_the_host
    def parsing(self, context: Any) -> Request | None:
        """The driver is about to take an answer's first rows apart, on whatever thread."""
        question = getattr(context, "__dict__", {}).pop(KEY, None)
        if question is None or question.request is None:
            return None
        question.parsed = True
        return question.request

    @never_breaks_the_host
    def parsed(self, request: Request, result: Any) -> None:
        """It has: the others are taken apart as they are read."""
        blocks = getattr(result, "_block_gen", None)
        if not inspect.isgenerator(blocks):
            self._release(request)
            return
        ours = self._counted(request, blocks)
        result._block_gen = ours
        finalize(ours, self._release, request)

    @never_breaks_the_host
    def broken(self, request: Request, error: BaseException) -> None:
        """They could not be: the server's error may stand among them."""
        attempt = request.attempt
        if attempt is not None and not attempt.told:
            code = code_of(error)
            attempt.error = error
            attempt.facts += ((names.STATUS_CODE, code),) if code else ()
        self._release(request)

    def _counted(self, request: Request, blocks: Generator[Any, Any, Any]) -> Generator[Any]:
        if request.attempt is not None:
            request.attempt.rows_returned = 0
        try:
            for block in blocks:
                self._took(request, block)
                yield block
        except GeneratorExit:
            blocks.close()
            raise
        except BaseException as error:
            self.broken(request, error)
            raise
        finally:
            self._release(request)

    @never_breaks_the_host
    def _took(self, request: Request, block: Any) -> None:
        if request.attempt is not None and len(block):
            request.attempt.rows_returned += len(block[0])

    @never_breaks_the_host
    def _release(self, request: Request) -> None:
        attempt = request.attempt
        if attempt is not None and request.question is not None and request.question.reads:
            request.question.reads = False
            attempt.release()


def _text(given: dict[str, Any]) -> object:
    """The statement of a request that no method of ours is known for."""
    params, data = given.get("params") or {}, given.get("data")
    said = params.get("query") or (data if isinstance(data, (str, bytes)) else None)
    return without_data(said)


def _is_insert(sql: object) -> bool:
    head = sql[:200] if isinstance(sql, (str, bytes)) else ""
    return _INSERT.match(head.decode("utf-8", "replace") if isinstance(head, bytes) else head) is not None
