"""B10: passwords of a PostgreSQL account are tried through the app."""

from backwatch.attack.clients.asyncpg import Asyncpg
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.scenarios import Run
from backwatch.attack.techniques.refused_logins import GuessedDatabaseLogin


class PostgresqlGuessed(GuessedDatabaseLogin):
    """The server responds 28P01 to each."""

    server = HonestPostgreSQL
    runs = (Run(Asyncpg, "asyncpg"),)
