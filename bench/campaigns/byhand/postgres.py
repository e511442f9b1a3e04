"""Twenty injections for PostgreSQL."""

from bench.campaigns.byhand import Injection

INJECTIONS = (
    Injection(
        "member_by_id",
        "member_id",
        "{v} UNION SELECT id, login, full_name, password_hash, email FROM staff",
        "clean union",
    ),
    Injection("member_by_id", "member_id", "{v} OR id IS NOT NULL", "predicate that always holds"),
    Injection("loans_of_member", "member_id", "l.member_id", "a column compared with itself"),
    Injection("member_by_id", "member_id", "(SELECT min(id) FROM member)", "a sub-select as the value"),
    Injection("copies_of_titles", "title_ids", "SELECT title_id FROM hold", "a sub-select as the list"),
    Injection("catalogue", "sort", "(SELECT max(password_hash) FROM staff), name", "a sub-select as the order"),
    Injection("event_page", "limit", "(SELECT count(*) FROM member)", "a sub-select as the limit"),
    Injection("title_search", "word", "{v}%' OR t.summary LIKE '%", "another column searched"),
    Injection("orm_member", "email", '{v}\' OR "member"."active" >= \'0', "an alternative in the style of an ORM"),
    Injection(
        "subject_report", "minimum", "ALL (SELECT stars FROM review WHERE member_id = 3)", "HAVING against a sub-select"
    ),
    Injection("member_phone", "phone", "{v}', email = 'reader9@example.org", "UPDATE with an extra column"),
    Injection(
        "review_add",
        "plain_text",
        "{v}' || (SELECT password_hash FROM staff WHERE login = 'desk1') || '",
        "a sub-select concatenated into a text",
    ),
    Injection("hold_cancel", "hold_id", "{v} OR status IS NOT NULL OR id = {v}", "DELETE widened"),
    Injection(
        "overdue",
        "date",
        "{v}' GROUP BY member_id), gone AS (DELETE FROM audit_log RETURNING staff_id), spare AS "
        "(SELECT member_id, "
        "count(*) AS loans, min(due_on) AS since FROM loan WHERE due_on < '{v}",
        "a writing CTE",
    ),
    Injection(
        "member_by_id",
        "member_id",
        "{v} UNION SELECT 0, CAST(table_to_xml('staff', true, false, '') AS text), NULL, NULL, NULL",
        "a table as XML",
    ),
    Injection(
        "title_stars",
        "title_id",
        "{v} OR member_id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY joined) AS "
        "place FROM member) ranked "
        "WHERE place < 90)",
        "a window function",
    ),
    Injection("member_by_id", "member_id", "ANY (ARRAY(SELECT id FROM member))", "an array operator"),
    Injection(
        "busy_members",
        "minimum",
        "{v} OR EXISTS (SELECT id FROM staff WHERE login = 'desk2' AND password_hash > 'c')",
        "EXISTS as an oracle",
    ),
    Injection(
        "fines_between",
        "high",
        "CASE WHEN (SELECT count(*) FROM staff WHERE role = 'admin') > 3 THEN 90 ELSE 0 END",
        "CASE as an oracle",
    ),
    Injection(
        "activity",
        "date",
        "{v}' UNION ALL SELECT login, branch_id FROM staff WHERE role >= 'a",
        "a union within a union",
    ),
)
"""Each of them runs without an error."""
