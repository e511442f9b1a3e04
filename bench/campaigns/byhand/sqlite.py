"""Twenty injections for SQLite."""

from bench.campaigns.byhand import Injection

INJECTIONS = (
    Injection(
        "member_by_id", "member_id", "{v} UNION SELECT name, value, NULL, NULL, NULL FROM setting", "clean union"
    ),
    Injection("member_by_id", "member_id", "abs(id)", "a function of the column as the value"),
    Injection("loans_of_member", "member_id", "(SELECT max(member_id) FROM fine)", "a sub-select as the value"),
    Injection(
        "title_stars",
        "title_id",
        "{v} OR stars IN (SELECT stars FROM review GROUP BY stars HAVING count(*) > 1)",
        "IN over a grouped table",
    ),
    Injection("copies_of_titles", "title_ids", "{v}) OR title_id IN (SELECT title_id FROM review", "a second list"),
    Injection(
        "catalogue",
        "sort",
        "CASE WHEN EXISTS (SELECT id FROM staff WHERE role = 'admin') THEN name ELSE isbn END",
        "CASE and EXISTS as the order",
    ),
    Injection("event_page", "limit", "(SELECT count(*) FROM event)", "a sub-select as the limit"),
    Injection("event_page", "offset", "(SELECT length(login) FROM staff WHERE id = 3)", "a sub-select as the offset"),
    Injection(
        "author_suggest",
        "prefix",
        "{v}%' UNION SELECT id, email || ' ' || phone FROM member WHERE email LIKE '",
        "union in LIKE",
    ),
    Injection("orm_member", "email", '{v}\' OR "member"."joined" < \'2027', "an alternative in the style of an ORM"),
    Injection("admin_search", "city", "{v}' OR m.notes NOT NULL AND m.card_no >= 'L", "an alternative among filters"),
    Injection(
        "member_by_id",
        "member_id",
        "(((SELECT id FROM (SELECT id, joined FROM member) AS other ORDER BY joined LIMIT 1)))",
        "nested parentheses",
    ),
    Injection(
        "review_add",
        "plain_text",
        "{v}') UNION ALL SELECT 1, id, 5, login || password_hash FROM staff WHERE (role >= 'a",
        "INSERT from a SELECT",
    ),
    Injection("review_add", "stars", "{v}, (SELECT value FROM setting LIMIT 1)), (1, 2, 3", "a row slipped in"),
    Injection(
        "member_phone",
        "phone",
        "{v}', notes = (SELECT login FROM staff LIMIT 1), city = 'Graz",
        "UPDATE with extra columns",
    ),
    Injection(
        "hold_cancel",
        "hold_id",
        "{v} OR id IN (SELECT id FROM hold WHERE status = 'open') OR id = {v}",
        "DELETE widened",
    ),
    Injection(
        "activity",
        "date",
        "{v}' UNION ALL SELECT group_concat(login), max(id) FROM staff WHERE role >= 'a",
        "a union within a union",
    ),
    Injection("fines_between", "low", "min(amount, 0)", "a function as the lower bound"),
    Injection("subject_report", "minimum", "{v} OR count(DISTINCT t.language) > 0", "HAVING with an alternative"),
    Injection(
        "busy_members",
        "minimum",
        "{v} OR m.id IN (SELECT value FROM json_each('[1, 2, 3, 4, 5, 6, 7, 8]'))",
        "a JSON table",
    ),
)
"""Each of them runs without an error."""
