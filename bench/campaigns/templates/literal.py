"""Statements that interpolate the request: vulnerable in every position, but for the fields that are escaped."""

from bench.campaigns.dialect import Dialect
from bench.campaigns.templates import Template


def templates(d: Dialect) -> list[Template]:
    """Return the interpolating statements in a dialect."""
    return [*_reads(d), *_reports(d), *_searches(d), *_writes(d)]


def _reads(d: Dialect) -> list[Template]:
    return [
        Template("member_by_id", "SELECT id, card_no, full_name, email, city FROM member WHERE id = $member_id"),
        Template(
            "member_by_card",
            "SELECT id, full_name, phone, active FROM member WHERE card_no = '$card_no' AND active = 1",
        ),
        Template(
            "title_search",
            "SELECT t.id, t.name, a.name AS author, t.year FROM title t JOIN author a ON a.id = "
            "t.author_id "
            f"WHERE t.name {d.like} '%$word%' ORDER BY t.name LIMIT 25",
        ),
        Template(
            "loans_of_member",
            "SELECT l.id, t.name, c.barcode, l.due_on FROM loan l JOIN copy c ON c.id = l.copy_id "
            "JOIN title t ON t.id = c.title_id WHERE l.member_id = $member_id AND l.returned_on IS NULL "
            "ORDER BY l.due_on",
        ),
        Template("copies_of_titles", "SELECT id, title_id, barcode, state FROM copy WHERE title_id IN ($title_ids)"),
        Template(
            "catalogue",
            "SELECT id, name, year, language FROM title WHERE subject_id = @subject_id ORDER BY $sort "
            "$direction LIMIT 20",
        ),
        Template(
            "event_page", "SELECT id, name, starts_on, seats FROM event ORDER BY starts_on LIMIT $limit OFFSET $offset"
        ),
        Template(
            "orm_member",
            'SELECT "member"."id", "member"."card_no", "member"."full_name", "member"."email" FROM '
            '"member" '
            'WHERE "member"."email" = \'$email\' LIMIT 21',
        ),
        Template("author_suggest", "SELECT id, name FROM author WHERE name LIKE '% $prefix%' LIMIT 10"),
        Template("staff_login", "SELECT id, login, role FROM staff WHERE login = '$login' AND password_hash = '$hash'"),
        Template("member_by_name", "SELECT id, full_name, city FROM member WHERE full_name = @full_name"),
        Template(
            "title_stars",
            "SELECT title_id, member_id, stars, rank() OVER (PARTITION BY title_id ORDER BY stars DESC) "
            "AS place "
            "FROM review WHERE title_id = $title_id",
        ),
    ]


def _reports(d: Dialect) -> list[Template]:
    return [
        Template(
            "subject_report",
            "SELECT s.name, count(*) AS titles, avg(t.price) AS price FROM title t JOIN subject s ON "
            "s.id = t.subject_id "
            "GROUP BY s.name HAVING count(*) >= $minimum ORDER BY titles DESC",
        ),
        Template(
            "overdue",
            "WITH overdue AS (SELECT member_id, count(*) AS loans, min(due_on) AS since FROM loan "
            "WHERE returned_on IS NULL AND due_on < '$date' GROUP BY member_id) "
            "SELECT m.full_name, m.email, o.loans, o.since FROM overdue o JOIN member m ON m.id = "
            "o.member_id "
            "WHERE m.city = '$city' ORDER BY o.since",
        ),
        Template(
            "fines_between",
            "SELECT member_id, sum(amount) AS due FROM fine WHERE paid = 0 AND amount BETWEEN $low AND "
            "$high GROUP BY member_id",
        ),
        Template(
            "activity",
            "SELECT 'loan' AS what, count(*) AS calls FROM loan WHERE lent_on >= '$date' "
            "UNION ALL SELECT 'hold', count(*) FROM hold WHERE placed_on >= @date_to",
        ),
        Template(
            "busy_members",
            "SELECT m.id, m.full_name, x.loans FROM (SELECT member_id, count(*) AS loans FROM loan GROUP "
            "BY member_id) x "
            "JOIN member m ON m.id = x.member_id WHERE x.loans > $minimum ORDER BY x.loans DESC LIMIT 30",
        ),
        Template(
            "joined_by_month",
            f"SELECT {d.month('joined')} AS month, sum(CASE WHEN active = 1 THEN 1 ELSE 0 END) AS active, "
            "count(*) AS members "
            "FROM member WHERE joined >= '$date' GROUP BY 1 ORDER BY 1",
        ),
    ]


def _searches(d: Dialect) -> list[Template]:
    return [
        Template(
            "admin_search",
            "SELECT m.id, m.card_no, m.full_name, m.city FROM member m WHERE 1 = 1",
            optional=(
                "AND m.city = '$city'",
                f"AND m.full_name {d.like} '%$surname%'",
                "AND m.joined >= '$date'",
                "AND m.active = $flag",
                "AND m.id IN ($member_ids)",
                "AND m.email = @email",
                "AND EXISTS (SELECT 1 FROM fine f WHERE f.member_id = m.id AND f.reason = '$reason')",
            ),
            tail="ORDER BY $member_sort LIMIT $limit",
        ),
        Template(
            "title_filter",
            'SELECT "title"."id", "title"."name", "title"."year" FROM "title" '
            'INNER JOIN "subject" ON ("title"."subject_id" = "subject"."id") WHERE "title"."price" > 0',
            optional=(
                'AND "title"."language" = @language',
                'AND "title"."year" >= @year',
                'AND "title"."year" < @year_to',
                f'AND "title"."name" {d.like} \'%$word%\'',
                'AND "title"."author_id" = $author_id',
                'AND "title"."id" NOT IN (SELECT U0."title_id" FROM "hold" U0 WHERE U0."status" = @status)',
                'AND "subject"."id" = @subject_id',
            ),
            tail='ORDER BY "title"."name" ASC LIMIT 25',
        ),
    ]


def _writes(d: Dialect) -> list[Template]:
    return [
        Template(
            "review_add",
            "INSERT INTO review (title_id, member_id, stars, body) VALUES ($title_id, @member_id, "
            "$stars, '$plain_text')",
            script=True,
        ),
        Template(
            "review_add_escaped",
            "INSERT INTO review (title_id, member_id, stars, body) VALUES (@title_id, @member_id, @stars, @text)",
        ),
        Template("member_phone", "UPDATE member SET phone = '$phone' WHERE id = $member_id", script=True),
        Template("member_notes", "UPDATE member SET notes = @text, city = '$city' WHERE card_no = @card_no"),
        Template("hold_cancel", "DELETE FROM hold WHERE id = $hold_id AND member_id = $member_id", script=True),
        Template(
            "setting_save",
            "INSERT INTO setting (name, value) VALUES ('$setting', '$plain_text') " + d.upsert("name", "value"),
            script=True,
        ),
        Template(
            "copies_add",
            "INSERT INTO copy (title_id, branch_id, barcode, state, shelf) VALUES",
            group="(@title_id, @branch_id, @barcode, 'shelf', @shelf)",
        ),
    ]
