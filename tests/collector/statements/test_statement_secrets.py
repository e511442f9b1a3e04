"""A corpus of statements and commands with secrets in them: no secret may come out."""

import pytest

from backwatch.collector.redaction import dsn, errors, http, redis, smtp, sql
from backwatch.collector.statements.scan import scan

CANARY = "Tr0ub4dor"

SQL = [
    ("postgresql", "ALTER ROLE ann WITH PASSWORD 'Tr0ub4dor'"),
    ("postgresql", "ALTER ROLE ann PASSWORD Tr0ub4dor"),
    ("postgresql", "ALTER ROLE ann PASSWORD \"Tr0ub4dor\" VALID UNTIL 'infinity'"),
    ("postgresql", "CREATE USER ann PASSWORD $$Tr0ub4dor$$"),
    ("postgresql", "CREATE USER ann ENCRYPTED PASSWORD $x$Tr0ub4dor$x$"),
    ("postgresql", "CREATE USER ann PASSWORD E'it\\'s Tr0ub4dor'"),
    ("postgresql", "CREATE USER ann PASSWORD U&'\\0054Tr0ub4dor'"),
    ("postgresql", "CREATE USER ann PASSWORD \u2018Tr0ub4dor\u2019"),
    ("postgresql", "CREATE USER ann PASSWORD Tr0ub4dor-with-dashes.and.dots"),
    ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'host=h password=Tr0ub4dor' PUBLICATION p"),
    ("postgresql", "CREATE USER MAPPING FOR ann SERVER s OPTIONS (user 'u', password 'Tr0ub4dor')"),
    ("postgresql", "CREATE USER MAPPING FOR ann SERVER s OPTIONS (user u, password Tr0ub4dor)"),
    ("postgresql", "SELECT dblink_connect('host=h user=u password=Tr0ub4dor')"),
    ("postgresql", "COPY t FROM 's3://b' CREDENTIALS 'aws_secret_access_key=Tr0ub4dor'"),
    ("postgresql", "SELECT pgp_sym_decrypt(c, 'Tr0ub4dor') FROM t"),
    ("postgresql", "INSERT INTO u (name, password) VALUES ('ann', 'Tr0ub4dor')"),
    ("postgresql", "UPDATE u SET password = 'Tr0ub4dor' WHERE name = 'ann'"),
    ("postgresql", 'SELECT * FROM u WHERE password = "Tr0ub4dor"'),
    ("postgresql", "SELECT 1 -- the password is Tr0ub4dor"),
    ("postgresql", "SELECT 1 /* outer /* Tr0ub4dor */ Tr0ub4dor */"),
    ("postgresql", "SELECT 'unended Tr0ub4dor"),
    ("postgresql", "SELECT $tag$ unended Tr0ub4dor $other$"),
    ("postgresql", "DO $$ BEGIN PERFORM login('Tr0ub4dor'); END $$"),
    ("postgresql", "SET myapp.token TO 'Tr0ub4dor'"),
    ("postgresql", "ALTER SYSTEM SET primary_conninfo = 'password=Tr0ub4dor'"),
    ("postgresql", "SET app.user_email TO Tr0ub4dor"),
    ("postgresql", "SET LOCAL app.user_email = Tr0ub4dor, two.Tr0ub4dor"),
    ("postgresql", 'SET app.user_email TO "Tr0ub4dor"'),
    ("postgresql", "ALTER ROLE ann IN DATABASE d SET app.email TO Tr0ub4dor"),
    ("postgresql", "SELECT 1; SET a.b = one Tr0ub4dor and @Tr0ub4dor"),
    ("postgresql", "EXECUTE plan(Tr0ub4dor, 3)"),
    ("postgresql", 'EXECUTE "my plan" (upper(Tr0ub4dor), "Tr0ub4dor", one Tr0ub4dor)'),
    ("mysql", "SET a = b, GLOBAL c = Tr0ub4dor"),
    ("mysql", "/*!40101 SET SESSION a = Tr0ub4dor */"),
    ("mysql", "CREATE USER 'ann'@'%' IDENTIFIED BY 'Tr0ub4dor'"),
    ("mysql", 'CREATE USER ann IDENTIFIED BY "Tr0ub4dor"'),
    ("mysql", "CREATE USER ann IDENTIFIED WITH mysql_native_password AS '*Tr0ub4dor'"),
    ("mysql", "GRANT ALL ON *.* TO ann IDENTIFIED BY PASSWORD '*Tr0ub4dor'"),
    ("mysql", "SET PASSWORD FOR ann = PASSWORD('Tr0ub4dor')"),
    ("mysql", "SET PASSWORD = Tr0ub4dor"),
    ("mysql", "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD='Tr0ub4dor'"),
    ("mysql", "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD=Tr0ub4dor"),
    ("mysql", "START REPLICA USER='r' PASSWORD='Tr0ub4dor'"),
    ("mysql", "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'r', PASSWORD 'Tr0ub4dor')"),
    ("mysql", "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://r:Tr0ub4dor@h/d/t'"),
    ("mysql", "SELECT 1 # Tr0ub4dor"),
    ("mysql", "SELECT AES_DECRYPT(c, 'it\\'s Tr0ub4dor') FROM t"),
    ("mysql", 'SELECT * FROM u WHERE p = "a\\"Tr0ub4dor"'),
    ("mysql", "SELECT * FROM u WHERE p = 0x5472307562Tr0ub4dor".replace("Tr0ub4dor", "3464") + " AND n = 'Tr0ub4dor'"),
    ("mysql", "INSERT INTO t VALUES ('a', 'Tr0ub4dor'), ('b', 'Tr0ub4dor')"),
    ("mysql", "SELECT * FROM t WHERE a = \u201cTr0ub4dor\u201d"),
    ("sqlite", "ATTACH DATABASE 'f.db' AS f KEY 'Tr0ub4dor'"),
    ("sqlite", "ATTACH DATABASE 'f.db' AS f KEY Tr0ub4dor"),
    ("sqlite", "PRAGMA key = 'Tr0ub4dor'"),
    ("sqlite", "PRAGMA key = Tr0ub4dor"),
    ("sqlite", "PRAGMA key = \"x'Tr0ub4dor'\""),
    ("sqlite", "PRAGMA rekey=Tr0ub4dor"),
    ("sqlite", 'SELECT * FROM t WHERE name = "Tr0ub4dor"'),
    ("sqlite", 'SELECT * FROM t WHERE name IN ("a", "Tr0ub4dor")'),
    ("sqlite", 'INSERT INTO t VALUES ("a", "Tr0ub4dor")'),
    ("sqlite", 'SELECT json_extract(d, "$.Tr0ub4dor") FROM t'),
    ("mssql", "CREATE LOGIN ann WITH PASSWORD = N'Tr0ub4dor', CHECK_POLICY = OFF"),
    (
        "mssql",
        "CREATE LOGIN ann WITH PASSWORD = 0x5472306D4711Tr0ub4dor HASHED".replace("Tr0ub4dor", "") + "/*Tr0ub4dor*/",
    ),
    ("mssql", "ALTER LOGIN ann WITH PASSWORD = 'Tr0ub4dor' OLD_PASSWORD = 'Tr0ub4dor'"),
    ("mssql", "EXEC sp_addlogin ann, Tr0ub4dor"),
    ("mssql", "EXEC sp_addlinkedsrvlogin 'srv', 'false', NULL, 'ann', 'Tr0ub4dor'"),
    ("mssql", "CREATE CREDENTIAL c WITH IDENTITY = 'i', SECRET = Tr0ub4dor"),
    ("mssql", "OPEN SYMMETRIC KEY k DECRYPTION BY PASSWORD = 'Tr0ub4dor'"),
    ("mssql", "BACKUP DATABASE d TO DISK = 'f' WITH PASSWORD = Tr0ub4dor"),
    ("mssql", 'SET QUOTED_IDENTIFIER OFF; SELECT * FROM t WHERE f(a, "Tr0ub4dor two")'),
    ("mssql", 'SELECT "Tr0ub4dor secret"'),
    ("mssql", 'PRINT "one Tr0ub4dor" EXEC p "two Tr0ub4dor"'),
    ("sqlite", 'SELECT coalesce(a, "one Tr0ub4dor") FROM t'),
    ("other", 'SELECT concat("one Tr0ub4dor", a) FROM t'),
    ("other", "SET RSA_PUBLIC_KEY=MIIabc/Tr0ub4dor+Tr0ub4dor=="),
    ("other", "ALTER USER ann SET RSA_PUBLIC_KEY=5Tr0ub4dor=, COMMENT = Tr0ub4dor"),
    ("other", "ALTER USER ann IDENTIFIED BY Tr0ub4dor"),
    ("other", 'ALTER USER ann IDENTIFIED BY "Tr0ub4dor" REPLACE Tr0ub4dor'),
    ("other", "GRANT CONNECT TO a, b IDENTIFIED BY x, Tr0ub4dor"),
    ("other", "CREATE DATABASE LINK l CONNECT TO ann IDENTIFIED BY Tr0ub4dor USING 'h'"),
    ("other", "CONNECT ann/Tr0ub4dor@db"),
    ("other", "SELECT * FROM t WHERE a = q'[it's Tr0ub4dor]'"),
    ("other", "SELECT 1; CREATE USER x PASSWORD Tr0ub4dor; SELECT 2"),
    ("other", "COPY INTO t FROM s CREDENTIALS = (AWS_KEY_ID = Tr0ub4dor AWS_SECRET_KEY = Tr0ub4dor)"),
]

REDIS: list[list[object]] = [
    ["AUTH", CANARY],
    ["AUTH", "ann", CANARY],
    ["HELLO", 3, "AUTH", "ann", CANARY],
    [b"auth", CANARY.encode()],
    ["CONFIG", "SET", "requirepass", CANARY],
    ["CONFIG SET", "masterauth", CANARY],
    ["CONFIG", "SET", CANARY, CANARY],
    ["CONFIG", "GET", CANARY],
    ["ACL", "SETUSER", "ann", "on", f">{CANARY}"],
    ["ACL", CANARY],
    ["SET", "k", CANARY],
    ["MIGRATE", "h", 6379, "k", 0, 100, "AUTH2", "ann", CANARY],
    ["EVAL", f"return '{CANARY}'", 0],
    ["FCALL", CANARY, 0, CANARY],
    ["SCRIPT", "LOAD", f"return '{CANARY}'"],
    ["SET", f"session:{CANARY}", "v"],
    ["GET", CANARY],
    ["MSET", "a:1", CANARY, "b:2", CANARY],
    ["HSET", "user:1", "password", CANARY],
    ["HSET", f"{CANARY}:1", CANARY, CANARY],
    ["PUBLISH", "c", CANARY],
    [CANARY],
    [f"{CANARY} {CANARY}"],
    ["SELECT", CANARY],
    ["XADD", "s", "*", "f", CANARY],
    ["REPLICAOF", CANARY, 6379],
    ["SENTINEL", "SET", "m", "auth-pass", CANARY],
    ["MODULE", "LOADEX", "/x.so", CANARY],
    ["JSON.SET", "doc:1", "$", CANARY],
    [f"JSON.{CANARY}", "x"],
    ["CLIENT", "SETNAME", CANARY],
    ["SET", memoryview(CANARY.encode()), bytearray(CANARY.encode())],
    ["PING", CANARY],
    ["ECHO", CANARY],
    ["LPUSH", f"q:{CANARY}", CANARY],
]

URLS = [
    f"https://ann:{CANARY}@h.example/x",
    f"https://h.example/x?token={CANARY}",
    f"https://h.example/x#{CANARY}",
    f"https://h.example/x;jsessionid={CANARY}",
    f"https://hooks.example/services/T1/B2/{CANARY}xyzXYZ123",
    f"https://h.example/bot1:{CANARY}/send",
    f"/x?{CANARY}",
    f"https://h.example/reset/{CANARY}9f8e7d6c5b4a",
    f"http://[::1/{CANARY}",
    f"http://h:{CANARY}/x",
    f"//ann:{CANARY}@h/x",
]

DSNS = [
    f"postgresql://ann:{CANARY}@h:5432/d",
    f"postgresql://h/d?user=ann&password={CANARY}",
    f"host=h password={CANARY} dbname=d",
    f"host=h password='it\\'s {CANARY}' dbname=d",
    f"Server=h;Uid=ann;Pwd={CANARY};Database=d",
    f"Driver={{X}};PWD={{{CANARY}}};Server=h",
    f"amqp://ann:{CANARY}@h/v",
    f"redis://:{CANARY}@h:6379/0",
    f"postgresql://ann:a/{CANARY}@h/d",
    f"mysql://ann:a@{CANARY}@h/d",
    f"postgresql://ann:a?{CANARY}@h/d",
    f"{CANARY}",
    f"postgresql://ann:[{CANARY}@h/d",
]

ERRORS = [
    Exception(1045, f"Access denied for user 'ann' (using password: {CANARY})"),
    ValueError(CANARY),
    Exception(CANARY, 5),
    Exception(f"ERROR: duplicate key value (name)=({CANARY}) (SQLSTATE 23505)"),
    Exception(f"[42000] [{CANARY}] oops"),
    Exception(f"WRONGPASS invalid {CANARY}"),
    Exception(f"{CANARY.upper()} x"),
    KeyError(CANARY),
]


@pytest.mark.parametrize(("dialect", "text"), SQL)
def test_no_secret_leaves_in_a_statement(dialect: str, text: str) -> None:
    scanned = scan(text, dialect)
    assert CANARY in text
    assert CANARY.lower() not in scanned.redacted.lower()
    assert CANARY not in " ".join(scanned.signs) + scanned.operation
    assert scanned.redacted == sql.to_statement(
        text, {"mssql": "microsoft.sql_server", "other": "oracle.db"}.get(dialect, dialect)
    )


@pytest.mark.parametrize("command", REDIS, ids=[f"{number}-{command[0]}" for number, command in enumerate(REDIS)])
def test_no_secret_leaves_in_a_redis_command(command: list[object]) -> None:
    assert CANARY.lower() not in redis.to_statement(command).lower()


@pytest.mark.parametrize("url", URLS)
def test_no_secret_leaves_in_a_url(url: str) -> None:
    assert CANARY not in http.redact_url(url) + http.to_statement("GET", url)
    assert CANARY not in http.to_path_template(url.partition("example")[2])


@pytest.mark.parametrize("text", DSNS)
def test_no_secret_leaves_in_a_connection_string(text: str) -> None:
    assert CANARY not in dsn.redact_dsn(text)


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_no_secret_leaves_in_an_error(error: Exception) -> None:
    assert CANARY not in errors.get_error_code(error) + errors.get_error_type(error) + errors.redact_error(str(error))


def test_recipients_of_mail_are_not_reported() -> None:
    assert smtp.to_statement([f"{CANARY}@x.org", f"<{CANARY}@X.org>", f"{CANARY}", f"a@{CANARY} b"]) == "SEND ?,x.org"


def test_the_corpus_is_as_large_as_was_promised() -> None:
    assert len(SQL) + len(REDIS) + len(URLS) + len(DSNS) >= 120
