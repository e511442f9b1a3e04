"""Kinds by the names in a call's canonical text, and by names alone."""

import pytest

from backwatch.collector.exposure.columns import kind_words, kinds_of_name
from backwatch.collector.exposure.statements import kinds_of_text
from backwatch.collector.redaction.sanitize import sanitize

SENSITIVE = {
    "email": "e_mail userEmail CUSTOMER_EMAIL contactEmailAddress correo_electronico sähköposti 邮箱 email2",
    "phone": "phone_number mobileNumber telefonnummer numéro_de_téléphone 手机号 telefon_komorkowy",
    "card": "card_number cardNo creditCardNumber numero_de_carte kartennummer numeroTarjeta cc_number",
    "iban": "iban customer_iban kontonummer bank_account_number numero_conto",
    "access-key": "api_key apiKey AWS_SECRET_ACCESS_KEY refresh_token client_secret",
    "password": "password user_password passwordHash contraseña mot_de_passe wachtwoord hasło",
    "national-id": "ssn SSN customer_ssn dni codice_fiscale PESEL steuer_id passport_number personnummer 身份证号",
    "health": "diagnosis icd_10 blood_type allergies krankenkasse groupe_sanguin prescription",
    "person": "first_name lastName dateOfBirth geburtsdatum date_de_naissance apellidos nazwisko 姓名",
}
OTHERS = """
    email_template_id is_email email_verified_at email_count phone_type has_phone card_id card_type discard cardinality
    password_changed_at token_count message_id primary_key public_key host_name file_name product_name address_id
    ip_address mac_address tel_aviv essex diagnostics treatment_group health_check order_number tracking_number sku
    created_at amount price quantity uuid hash checksum status user_id session_id latitude description
"""


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, text in SENSITIVE.items() for name in text.split()])
def test_name_of_a_sensitive_column_is_known(kind: str, name: str) -> None:
    assert kind in kind_words(kinds_of_name(name)).split(",")


@pytest.mark.parametrize("name", OTHERS.split())
def test_name_of_another_column_is_not(name: str) -> None:
    assert kind_words(kinds_of_name(name)) == ""


STATEMENTS = [
    ("SELECT email, card_number FROM customers WHERE id = 7", "email,card", ""),
    ('SELECT "u"."email" FROM "users" "u" WHERE "u"."iban" = %s', "email", "iban"),
    ("SELECT `t`.`email` AS a FROM `t` WHERE `t`.`ssn` LIKE %s", "email", "national-id"),
    ("SELECT count(email) FROM email WHERE created > now()", "", ""),
    ("SELECT id FROM users ORDER BY email", "", ""),
    ("INSERT INTO public.users (email, phone_number) VALUES (%s, %s) RETURNING iban", "iban", "email,phone"),
    ("UPDATE users SET password = %s, card_number = %s WHERE email = %s", "", "email,card,password"),
    ("DELETE FROM users WHERE lower(email) = lower(%s)", "", "email"),
    ("SELECT a.id FROM a JOIN b ON a.email = b.email", "", ""),
    ("SELECT * FROM passwords", "", ""),
    ("SELECT 'email' FROM t", "", ""),
]


@pytest.mark.parametrize(("sql", "received", "sent"), STATEMENTS)
def test_columns_of_a_statement_count_by_their_direction(sql: str, received: str, sent: str) -> None:
    text = sanitize(sql, "postgresql")[0]
    assert tuple(map(kind_words, kinds_of_text(text, sql=True))) == (received, sent)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("find users filter:{email:?,age:?}", "email"), ("update u updates:[{q:{_id:?},u:{$set:{iban:?}}}]", "iban"),
        ("GET session:?", ""), ("GET api.example.com/users/?", ""), ("find orders filter:{card.number:?}", "card"),
    ],
)  # fmt: skip
def test_fields_of_a_document_are_sent(text: str, sent: str) -> None:
    assert tuple(map(kind_words, kinds_of_text(text, sql=False))) == ("", sent)


def test_huge_text_takes_bounded_time() -> None:
    text = "SELECT " + "email = (" * 200_000
    assert kinds_of_text(text, sql=True)[0] == 1
