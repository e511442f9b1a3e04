"""Names of columns and fields that hold sensitive data, in several languages: words joined, without accents."""

from typing import Final

from backwatch.collector.statements.spec import split_words

NAMES: Final = {
    "email": """
        email emails emailaddress emailaddr mailaddress mailaddr useremail correoelectronico correo courriel
        adressemail adresseemail adresseelectronique epost epostadresse epostadress epostaadress sahkoposti
        sahkopostiosoite mailadresse emailadres emailadresse adresemail adrespocztyelektronicznej indirizzoemail
        postaelettronica enderecoemail eposta elektronnayapochta 邮箱 电子邮件 电子邮箱 メールアドレス 이메일 почта
        электроннаяпочта""",
    "phone": """
        phone phones phonenumber phoneno phonenum telephone telephonenumber telephoneno mobilenumber mobilephone
        mobileno mobilenum cellphone cellnumber cellphonenumber msisdn phonehome phonework homephone workphone faxnumber
        telefon telefono telefone telefonnummer telefoonnummer telefoon telefonnumber numerotelefono numerodetelefono
        numerotelephone numerodetelephone telephoneportable numeromobile celular cellulare handynummer mobilnummer
        mobiltelefon rufnummer gsmnummer gsmnumber puhelin puhelinnumero matkapuhelin numertelefonu telefonkomorkowy
        telefonszam телефон номертелефона 手机 手机号 手机号码 电话 电话号码 電話番号 携帯電話 전화번호 휴대폰""",
    "person": """
        firstname lastname fullname surname familyname givenname middlename maidenname forename legalname
        birthdate dateofbirth birthday dob birthplace placeofbirth birthyear yearofbirth homeaddress streetaddress
        postaladdress residentialaddress mailingaddress billingaddress shippingaddress addressline addressline1
        addressline2 gender ethnicity religion maritalstatus sexualorientation nationality mothersmaidenname
        vorname nachname familienname geburtsdatum geburtstag geburtsort geburtsname geschlecht wohnadresse wohnort
        anschrift staatsangehoerigkeit familienstand konfession
        prenom nomdefamille nomfamille datenaissance datedenaissance lieunaissance sexe adressepostale
        apellido apellidos primerapellido segundoapellido nombrecompleto fechanacimiento
        fechadenacimiento sexo domicilio
        cognome datanascita datadinascita luogonascita codicecatastale indirizzodiresidenza
        sobrenome nomecompleto datanascimento datadenascimento
        voornaam achternaam tussenvoegsel geboortedatum geboorteplaats geslacht woonadres
        imie nazwisko dataurodzenia miejsceurodzenia plec
        fornamn efternamn fodelsedatum fodelsedag etternavn fornavn efternavn fodselsdato fodselsdag etunimi sukunimi
        syntymaaika
        imya familiya фамилия имя отчество датарождения 姓名 出生日期 性别 氏名 生年月日 이름 생년월일""",
    "card": """
        cardnumber cardno cardnum ccnumber ccnum ccno creditcard creditcardnumber creditcardno debitcard
        debitcardnumber paymentcardnumber primaryaccountnumber cardpan cvv cvc cvv2 cvc2 cardcvv cardcvc
        kartennummer kreditkartennummer kreditkarte numerocarte numerodecarte cartebancaire numerocartebancaire
        numerotarjeta numerodetarjeta tarjetacredito tarjetadecredito numerocarta cartadicredito cartacredito
        numerocartao cartaodecredito cartaocredito creditcardnummer kaartnummer numerkarty kortnummer kortnumber
        luottokortti korttinumero номеркарты 卡号 信用卡 信用卡号 カード番号 카드번호""",
    "iban": """
        iban ibannumber bankaccountnumber bankaccountno bankaccount accountiban ibanaccount bankkonto kontonummer
        bankverbindung numerocompte numerodecompte comptebancaire cuentabancaria numerocuenta numerodecuenta
        contobancario numeroconto contabancaria numeroconta rekeningnummer bankrekening numerkonta kontonr
        bankkontonummer tilinumero pankkitili routingnumber sortcode 银行账号 银行卡号""",
    "access-key": """
        apikey apikeys apisecret apitoken secretkey secretaccesskey accesskey accesskeyid accesstoken refreshtoken
        authtoken bearertoken sessiontoken oauthtoken idtoken privatekey clientsecret webhooksecret signingsecret
        signingkey encryptionkey totpsecret otpsecret mfasecret twofactorsecret sshkey sshprivatekey deploykey
        sharedsecret accesskeysecret appsecret jwttoken personalaccesstoken""",
    "password": """
        password passwords passwd pwd passphrase passwordhash passwordsalt hashedpassword userpassword pwdhash
        encryptedpassword passworddigest passhash passwort kennwort contrasena motdepasse mdp senha wachtwoord
        haslo losenord passord adgangskode salasana parola heslo jelszo sifre пароль 密码 パスワード 비밀번호""",
    "national-id": """
        ssn ssnlast4 socialsecuritynumber socialsecurityno socialsecurity
        socialinsurancenumber nationalid nationalidnumber
        nationalidno nationalidentifier nationalinsurancenumber nationalinsuranceno idcardnumber idcardno idcard
        identitycard identitynumber identitydocument passportnumber passportno passportnum driverlicense
        driverslicense driverlicensenumber driverslicensenumber drivinglicence drivinglicencenumber taxpayerid
        taxidnumber taxidentificationnumber nino nric curp cuit cuil dni dninumber codicefiscale codfiscale bsn
        burgerservicenummer sofinummer pesel cpf cnpj cpfcnpj personnummer samordningsnummer fodselsnummer cprnummer
        cprnumber hetu henkilotunnus kennitala isikukood numerosecuritesociale numerosecu securitesociale nirpp
        steuerid steueridnr steuernummer steueridentifikationsnummer sozialversicherungsnummer svnummer
        personalausweis personalausweisnummer ausweisnummer reisepassnummer ahvnummer avsnummer aadhaar aadhaarnumber
        aadhar aadharnumber numerodocumento documentoidentidad tckimlik tckimlikno kimlikno rodnecislo cnp egn jmbg
        oib amka mynumber shenfenzheng sfz sfzh taxfilenumber medicarenumber снилс инн паспорт 身份证 身份证号
        身份证号码 マイナンバー 주민등록번호""",
    "health": """
        diagnosis diagnoses diagnosiscode icd icd9 icd10 icd10code icdcode prescription prescriptions medication
        medications bloodtype bloodgroup allergy allergies disease diseases symptom symptoms patientname patientnotes
        medicalhistory medicalrecord medicalrecordnumber medicalcondition medicalconditions healthcondition
        healthinsurancenumber healthinsurance healthstatus mrn hivstatus disability disabilities pregnancy pregnant
        vaccination vaccinations vaccine labresult labresults chronicillness mentalhealth
        diagnose diagnosen krankheit krankheiten medikament medikamente blutgruppe allergien krankenkasse
        krankenversicherung versichertennummer krankenversichertennummer patientenname befund anamnese
        maladie maladies ordonnance groupesanguin antecedentsmedicaux traitementmedical numeromutuelle
        diagnostico diagnosticomedico enfermedad enfermedades gruposanguineo tiposangre alergia alergias
        historiaclinica medicamento medicamentos doenca doencas tiposanguineo prontuario
        diagnosi malattia malattie grupposanguigno allergie cartellaclinica farmaco farmaci
        ziekte bloedgroep medicatie zorgverzekering choroba choroby grupakrwi leki rozpoznanie
        sjukdom sjukdomar blodgrupp sykdom sygdom sairaus veriryhma laakitys диагноз 诊断 病历 血型 过敏史 診断 病名""",
}  # fmt: skip
"""By kind. One of these as a part of a name, between its words, counts."""

WHOLE_NAMES: Final = {
    "email": "mail",
    "phone": "tel mobile fax",
    "card": "pan",
    "national-id": "nie nif rut cpr passport",
    "person": "sex birth address adresse direccion indirizzo endereco nom nombre",
    "access-key": "secret",
    "password": "clave",
}
"""Names that mean something else as a part of others: ``tel``, but not ``tel_aviv``."""

HINTS: Final = {
    "card": """
        card cards cc payment payments carte cartes karte karten kreditkarte tarjeta tarjetas carta carte cartao kaart
        karta kort kortti kart карта 卡 カード""",
    "national-id": """
        tax taxpayer citizen national identity identification social resident personal passport fiscal document
        insurance
        documento ausweis kimlik cedula identificacion identite identita identidade identiteit tozsamosc persona person
        personne cittadino ciudadano buerger burger obywatel""",
}  # fmt: skip
"""Words of names under which one number that meets a format is enough: not every ``card`` is one of payment."""

ABOUT_FIRST: Final = split_words(
    """
    is has can should allow allowed num number_of count total enable enabled show wants send sent use uses require
    requires required need needs last_sent next max min avg default no without missing invalid template hide mask
    """
)
"""First words of names that are about such a value: ``has_email``, ``count_phone``."""
ABOUT_LAST: Final = split_words(
    """
    id ids at count counts total sent enabled disabled verified confirmed validated status state template templates
    type types kind flag flags optin optout opt subject subjects queue provider providers format length version
    expiry expires expired expiration attempts attempt change changed reset required valid is_valid updated created
    policy strategy rule rules limit limits settings preference preferences pref prefs on off label labels
    placeholder field fields column columns regex pattern error errors message messages notification notifications
    campaign campaigns list lists log logs class test tests domain brand prefix country source bounced bounce score
    rate ratio visible hint order index idx position reminder reminders frequency digest_hour service url link path
    """
)
"""Last words of such names: ``email_template_id``, ``password_changed_at``."""
