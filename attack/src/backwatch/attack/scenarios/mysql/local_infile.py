"""D1: a MySQL server requests a client's file, and the client may send files."""

from collections.abc import Mapping
from typing import Any, ClassVar

from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.demo.services.mysql import MySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.local_infile import FileRequest, FileRequestingMySQL


class LocalInfile(FileRequest):
    """PyMySQL sends the file; mysql-connector-python checks first whether its own statement loads one."""

    notices = "an empty result"
    option = "local_infile=True"
    server = MySQL
    options: ClassVar[Mapping[str, Any]] = {"local_infile": True}
    runs = (
        Run(PyMySQL),
        Run(
            MySQLConnector, "connector", server=FileRequestingMySQL, option="", notices="an error",
            options={"allow_local_infile": True},
        ),
    )  # fmt: skip
