"""Statements with parameters, and those that a release adds."""

from bench.campaigns.dialect import Dialect
from bench.campaigns.templates import Template


def templates(d: Dialect) -> list[Template]:
    """Return the statements with parameters in a dialect."""
    return [
        Template(
            "orm_loan",
            'SELECT "loan"."id", "loan"."copy_id", "loan"."due_on" FROM "loan" WHERE "loan"."id" = :loan_id LIMIT 21',
        ),
        Template(
            "orm_copy_count",
            'SELECT COUNT(*) AS "__count" FROM "copy" WHERE ("copy"."branch_id" = :branch_id AND '
            '"copy"."state" = :state)',
        ),
        Template(
            "loan_add",
            f"INSERT INTO loan (copy_id, member_id, lent_on, due_on) VALUES (:copy_id, :member_id, {d.today}, :date)",
        ),
        Template("loan_return", f"UPDATE loan SET returned_on = {d.today} WHERE id = :loan_id AND returned_on IS NULL"),
        Template("copy_state", "UPDATE copy SET state = :state, shelf = :shelf WHERE id = :copy_id"),
        Template("booking_cancel", "DELETE FROM booking WHERE event_id = :event_id AND member_id = :member_id"),
        Template(
            "payment_add",
            "INSERT INTO payment (fine_id, amount, method, reference) VALUES (:fine_id, :amount, :method, :reference)",
        ),
        Template(
            "audit_add",
            f"INSERT INTO audit_log (staff_id, action, detail, at_on) VALUES (:staff_id, 'edit', :text, {d.today})",
        ),
        Template("setting_get", "SELECT value FROM setting WHERE name = :setting"),
        Template(
            "session_login",
            "SELECT id, full_name FROM member WHERE card_no = :card_no AND email = :email AND active = 1",
        ),
        Template(
            "loans_after",
            "SELECT id, copy_id, member_id, due_on FROM loan WHERE id > :loan_id ORDER BY id LIMIT :limit",
        ),
        Template(
            "never_lent",
            "SELECT t.id, t.name FROM title t WHERE t.subject_id = :subject_id AND NOT EXISTS "
            "(SELECT 1 FROM loan l JOIN copy c ON c.id = l.copy_id WHERE c.title_id = t.id)",
        ),
        Template(
            "event_seats",
            "WITH taken AS (SELECT event_id, sum(seats) AS seats FROM booking GROUP BY event_id) "
            "SELECT e.id, e.name, e.seats - COALESCE(t.seats, 0) AS free FROM event e LEFT JOIN taken t "
            "ON t.event_id = e.id "
            "WHERE e.branch_id = :branch_id",
        ),
        Template("titles_by_id", "SELECT id, isbn, name FROM title WHERE id IN (:title_ids)"),
        Template(
            "hold_search",
            "SELECT h.id, h.placed_on, h.status, t.name FROM hold h JOIN title t ON t.id = h.title_id "
            "WHERE h.place > 0",
            optional=(
                "AND h.status = :status",
                "AND h.member_id = :member_id",
                "AND h.placed_on >= :date",
                "AND t.subject_id = :subject_id",
            ),
            tail="ORDER BY h.place LIMIT :limit",
        ),
        Template(
            "transfers_add",
            "INSERT INTO transfer (copy_id, from_branch, to_branch, sent_on, state) VALUES",
            group=f"(:copy_id, :branch_id, :to_branch, {d.today}, 'transit')",
        ),
        Template(
            "setting_bump",
            "INSERT INTO setting (name, value) VALUES (:setting, :plain_text) " + d.upsert("name", "value"),
        ),
    ]


def release(d: Dialect) -> list[Template]:
    """Return the statements that come with a release: some interpolate, some do not."""
    return [
        Template("title_by_isbn", "SELECT id, name, price FROM title WHERE isbn = '$isbn'", release=True),
        Template(
            "events_near",
            "SELECT e.id, e.name, b.city FROM event e JOIN branch b ON b.id = e.branch_id WHERE b.city = "
            "@city AND e.starts_on >= '$date' ORDER BY e.starts_on",
            release=True,
        ),
        Template(
            "late_loans",
            "SELECT l.id, m.email FROM loan l JOIN member m ON m.id = l.member_id WHERE l.returned_on IS "
            f"NULL AND l.due_on < {d.days_before('@days')}",
            release=True,
        ),
        Template(
            "title_rating",
            "SELECT t.id, t.name, (SELECT avg(r.stars) FROM review r WHERE r.title_id = t.id) AS rating "
            "FROM title t WHERE t.author_id = $author_id",
            release=True,
        ),
        Template(
            "fine_waive",
            "UPDATE fine SET paid = 1, reason = 'card' WHERE id = $fine_id AND amount < @amount",
            release=True,
        ),
        Template(
            "orm_booking",
            'INSERT INTO "booking" ("event_id", "member_id", "seats") VALUES (@event_id, @member_id, @seats)',
            release=True,
        ),
        Template(
            "copies_per_branch",
            "SELECT b.name, count(c.id) AS copies FROM branch b LEFT JOIN copy c ON c.branch_id = b.id "
            "AND c.state = :state GROUP BY b.name",
            release=True,
        ),
        Template(
            "stock_value",
            "SELECT s.name, sum(t.price) AS total, round(avg(t.year), 0) AS year FROM title t JOIN "
            "subject s ON s.id = t.subject_id WHERE t.language = '$language' GROUP BY s.name",
            release=True,
        ),
    ]
