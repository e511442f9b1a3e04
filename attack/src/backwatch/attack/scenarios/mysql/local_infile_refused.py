"""D1: a MySQL server requests a client's file, and PyMySQL refuses by default."""

from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.local_infile import FileRequest, FileRequestingMySQL


class LocalInfileRefused(FileRequest):
    """Nothing is lost, and the attempt is reported all the same."""

    notices = "an error"
    server = FileRequestingMySQL
    runs = (Run(PyMySQL),)
