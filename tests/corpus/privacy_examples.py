"""Texts whose personal data and secrets are marked by hand or by construction, and what is found.

`python tests/corpus/privacy_examples.py` prints the table that stands in docs/privacy.md.
"""

import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field

import phonenumbers
from stdnum import iban, luhn
from stdnum.iso7064 import mod_97_10

from hornbook.corpus.privacy.finding import PLACEHOLDERS, Kind, Search

Example = tuple[str, list[tuple[Kind, str]]]
"""A text, and the things in it."""

HAND: list[tuple[str, Kind]] = [
    ("Write to «bob.smith@mail.acme.org», please.", "emails"),
    ("mailto:«o'brien+news@example-shop.co.uk»", "emails"),
    ("From: Ana <«ana_maria@correo.es»>", "emails"),
    ("reply to=«x@a.io»;", "emails"),
    ("Müller schreibt von «jörg@müller.de».", "emails"),
    ("leaked: «kay99@hotmail.com»:hunter2", "emails"),
    ("«JOHN.DOE@BIGCORP.COM»", "emails"),
    ("Bob (bob [at] acme [dot] org): «bob [at] acme [dot] org»", "emails"),
    ("Reach me at «carol at acme dot com» any time.", "emails"),
    ("Cc: «dave@acme.Com»", "emails"),
    ("Call «(212) 555-0199» after five.", "phones"),
    ("Office: «+44 20 7946 0958», ext. 12", "phones"),
    ("tel. «2125550123»", "phones"),
    ("From 9 to 5 ring «020 7946 0958».", "phones"),
    ("«+49 30 901820» is the town hall of Berlin.", "phones"),
    ("call «1-800-356-9377» now", "phones"),
    ("My number is «415.555.2671».", "phones"),
    ("whatsapp «+91 98765 43210»!", "phones"),
    ("numéro : «01 42 68 53 00»", "phones"),
    ("text me 4 a good time: «07700900461»", "phones"),
    ("a bare one, «2125550123», with no word before it", "phones"),
    ("helpline:«08700469649». Stop?", "phones"),
    ("from abroad «0044 20 7946 0958» or «+44 (0)20 7946 0958»", "phones"),
    ("<a href='tel:«+1-212-555-0123»'>", "phones"),
    ("sshd: Failed password for root from «218.92.0.112» port 22", "ips"),
    ("visit http://«93.184.216.34»:8080/x", "ips"),
    ("addr «2a00:1450:4009:81f::200e» answered", "ips"),
    ("[«2606:2800:220:1:248:1893:25c8:1946»]:443", "ips"),
    ("the resolver «8.8.8.8» answered", "ips"),
    ("card «4111 1111 1111 1111», 12/27", "cards"),
    ("Visa «4012888888881881» cvv 123", "cards"),
    ("amex «3782-822463-10005»", "cards"),
    ("«5555-5555-5555-4444»", "cards"),
    ("IBAN «DE89 3704 0044 0532 0130 00» BIC COBADEFF", "ibans"),
    ("to «GB29NWBK60161331926819», thanks", "ibans"),
    ("FR: «FR14 2004 1010 0505 0001 3M02 606».", "ibans"),
    ("api_secret = «c2f7e01bb6a94cf2a0cdd3c5f1b7a0d9»", "api_keys"),
    ("password: «correct-horse-battery-staple»", "api_keys"),
    ("AWS_SECRET_ACCESS_KEY=«hPVJ/9Qw1tYc7Zx2LmN8kRbT4sUaEo6FdGiKpXyB»", "api_keys"),
    ("aws_secret_access_key = «hPVJ/9Qw1tYc7Zx2LmN8kRbT4sUaEo6FdGiKpXyB»", "api_keys"),
    ('{"SecretAccessKey": "«hPVJ/9Qw1tYc7Zx2LmN8kRbT4sUaEo6FdGiKpXyB»"}', "api_keys"),
    (f"AccountName=x;AccountKey=«{'hPVJ9Qw1tYc7Zx2LmN8k' * 4}AbCdEf==»;Suffix", "api_keys"),
    (
        "«-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,5B01\n\n"
        "MIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END RSA PRIVATE KEY-----» and on",
        "private_keys",
    ),
    (
        "«-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\nlQOYBF2vO5UBCAC\n=aB3d\n"
        "-----END PGP PRIVATE KEY BLOCK-----»",
        "private_keys",
    ),
    (
        "«---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: me\nP2/56wAAA1oAAA\n"
        "---- END SSH2 ENCRYPTED PRIVATE KEY ----»",
        "private_keys",
    ),
    (
        "«PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAAIH\n"
        f"Private-MAC: {'0a1b2c3d' * 8}»\n",
        "private_keys",
    ),
    (
        '{"private_key": "«-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADAN\\n-----END PRIVATE KEY-----»"}',
        "private_keys",
    ),
    ("«-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB» ... (the rest was cut off)", "private_keys"),
]
"""One thing each, between « and »; the hard ones that are missed stay in."""

NEAR_MISSES = [
    "git clone git@github.com:org/repo.git",
    "ssh://git@github.com/org/repo.git",
    "scp notes.txt me@host.org:notes/today.txt",
    "<img src='logo@2x.png' srcset='hero@3x.webp'>",
    "npm install react@18.2.0 lodash@4.17.21",
    "loss = (x@w.mean() - y@v.T) ** 2",
    "@media screen; @app.route('/x'); thanks @bob!",
    "Show msg+ticket@kiosk.Valid until it is over",
    "cache-key-d41d8cd98f00b204e9800998ecf8427e and hf_hub_download, sk_learn",
    "account 00012345678, ref 0123456789012",
    "ssh-rsa AAAAB3NzaC1yc2E= and ---- BEGIN SSH2 PUBLIC KEY ----",
    "someone@example.com and a@b.test are nobody's",
    "Version 10.14.6.2 was released; v1.2.3.4 too; section 3.2.1.4, see 12.1.33.4 in the appendix",
    "Mozilla/5.0 Chrome/120.0.60.109 Safari/537.36",
    "10.0.0.1 192.168.1.254 172.16.9.8 127.0.0.1 169.254.3.4 0.0.0.0 255.255.255.0",
    "192.0.2.44 198.51.100.7 203.0.113.9 2001:db8::8a2e:370:7334 fe80::1ff:fe23:4567:890a ::1",
    "OID 1.3.6.1.4.1.311.21.20 and std::vector<int>::iterator",
    "On 2024-01-15 10:30:45 and 15/01/2024, 15.01.2024, 01-15-2024, in 1914-1918 and 1939–1945",
    "20240115 103045 1705314645 1705314645123",
    "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 0317-8471",
    "Order no. 4000123412341236 and invoice 2125550123; order 4485275742308327",
    "parcel 1Z999AA10123456784, tracking 9400 1000 0000 0000 0000 00",
    "4111 1111 1111 1112 fails Luhn",
    "UUID 123e4567-e89b-12d3-a456-426614174000",
    "md5 d41d8cd98f00b204e9800998ecf8427e sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "SSN 123-45-6789, ZIP 12345-6789",
    "lat 52.5200066, lon 13.4049540; pi is 3.14159265358979",
    "1,234,567 people, $1 000 000, 12 345 678 lines, 5-3-2 and 4-4-2",
    "DE89 3704 0044 0532 0130 01 has the wrong check digits",
    "AKIAIOSFODNN7EXAMPLE is the example in the manual",
    "class='sk-folding-cube-with-shadow-effect' sk-xxxxxxxxxxxxxxxxxxxxxxxx",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx goes there",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEB\n-----END PUBLIC KEY-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9 me",
    "GTIN 4006381333931; EAN 5901234123457",
    "The numbers 07, 12, 23, 31, 38, 44 were drawn",
    "0101 1010 1110 0001 1100 0111 0101 1010",
    "rows 212 555 0123 334 and 415 555 2671 900 of the table",
    "Bates 212-555-0123 to 212-555-0999 (pages of a file)",
    "part number 415-555-2671, in stock",
    "serve 4539578763621486 rows",
    "the build of 93.184.21.6 and of Windows 10.0.190.45",
]
"""Nothing in these is personal or secret; some of it is taken all the same."""

SENTENCES = (
    "Please use {} from now on.",
    "{}",
    "it was {}, I think",
    "Contact: {}\nThanks",
    '{{"value": "{}"}}',
    "({})",
)


def marked(text: str, kind: Kind) -> Example:
    """A hand-made example without its marks."""
    things = re.findall("«(.+?)»", text, re.DOTALL)
    return text.replace("«", "").replace("»", ""), [(kind, thing) for thing in things]


def examples(seed: int = 0, each: int = 120) -> list[Example]:
    """All of them: by hand, near misses, and `each` of every kind made by rules."""
    rng = random.Random(seed)
    made: list[Example] = [marked(text, kind) for text, kind in HAND]
    made += ((text, []) for text in NEAR_MISSES)
    for kind, make in MAKERS.items():
        for _ in range(each):
            thing = make(rng)
            made.append((rng.choice(SENTENCES).format(thing), [(kind, thing)]))
    for _ in range(each):
        made += ((text, []) for text in _random_near_misses(rng))
    return made


def _random_near_misses(rng: random.Random) -> Iterator[str]:
    yield f"commit {rng.getrandbits(160):040x}"
    yield f"id {rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4{rng.getrandbits(12):03x}-a{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}"
    yield f"item {rng.randrange(10**15, 10**16)} of the list"
    yield f"account {rng.randrange(10**9, 10**10)}"
    yield f"{rng.randrange(1000, 9999)}-{rng.randrange(1000, 9999)}-{rng.randrange(1000, 9999)}"
    yield f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}"
    yield f"{rng.uniform(-180, 180):.7f}, {rng.uniform(-90, 90):.7f}"
    yield f"{rng.randrange(1990, 2030)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:11.{rng.randrange(10**6):06}"
    yield " ".join(str(rng.randrange(10**4)) for _ in range(8))


def _letters(rng: random.Random, count: int, of: str = string.ascii_letters + string.digits) -> str:
    return "".join(rng.choices(of, k=count))


def _email(rng: random.Random) -> str:
    names = ("ada", "j.smith", "Grace_H", "li-wei", "tom+list", "r2d2")
    hosts = ("gmail.com", "mail.univ-paris.fr", "acme.co.jp", "x.org", "staff.museum")
    return f"{rng.choice(names)}{rng.choice(('', '7', '1984'))}@{rng.choice(hosts)}"


def _phone(rng: random.Random) -> str:
    """Valid numbers of 14 countries, written in their countries' ways."""
    home = rng.random() < 0.5
    region = rng.choice(
        ("US", "GB")
        if home
        else (["DE", "FR", "IN", "JP", "BR", "AU", "CA", "ES", "IT", "NL", "SE", "ZA"])
    )
    kind = phonenumbers.PhoneNumberType
    example = phonenumbers.example_number_for_type(
        region, rng.choice((kind.FIXED_LINE, kind.MOBILE))
    )
    code, first = example.country_code, example.national_number
    near = (phonenumbers.PhoneNumber(code, first + rng.randrange(10_000)) for _ in range(20))
    changed = next(filter(phonenumbers.is_valid_number, near), example)
    forms = phonenumbers.PhoneNumberFormat
    ways = (forms.NATIONAL, forms.INTERNATIONAL) if home else (forms.INTERNATIONAL, forms.E164)
    return phonenumbers.format_number(changed, rng.choice(ways))


def _ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        groups = (f"{rng.getrandbits(16):x}" for _ in range(6))
        return f"2a0{rng.randrange(1, 7)}:" + f"{rng.getrandbits(16):x}:" + ":".join(groups)
    return f"{rng.choice((5, 23, 52, 91, 142, 185, 212))}.{rng.randrange(20, 256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def _card(rng: random.Random) -> str:
    start, count = rng.choice((("4", 16), ("5", 16), ("37", 15), ("6011", 16), ("2233", 16)))
    start = start if start != "5" else f"5{rng.randrange(1, 6)}"
    body = start + _letters(rng, count - 1 - len(start), string.digits)
    digits = body + luhn.calc_check_digit(body)
    sign = rng.choice(("", " ", "-"))
    groups = (4, 4, 4, 4) if count == 16 else (4, 6, 5)
    places = [sum(groups[:n]) for n in range(len(groups))]
    return sign.join(digits[at : at + size] for at, size in zip(places, groups, strict=True))


def _iban(rng: random.Random) -> str:
    country, digits = rng.choice((("DE", 18), ("AT", 16), ("LT", 16), ("LU", 16), ("CH", 17)))
    body = _letters(rng, digits, string.digits)
    found = f"{country}{mod_97_10.calc_check_digits(body + country)}{body}"
    return iban.format(found) if rng.random() < 0.5 else found


def _api_key(rng: random.Random) -> str:
    capitals = string.ascii_uppercase + string.digits
    return rng.choice(
        (
            lambda: "AKIA" + _letters(rng, 16, capitals),
            lambda: "ghp_" + _letters(rng, 36),
            lambda: "github_pat_" + _letters(rng, 22) + "_" + _letters(rng, 59),
            lambda: "sk-" + _letters(rng, 48),
            lambda: "sk-proj-" + _letters(rng, 100),
            lambda: "sk-ant-api03-" + _letters(rng, 93) + "AA",
            lambda: f"xoxb-{_letters(rng, 12, string.digits)}-{_letters(rng, 24)}",
            lambda: "AIza" + _letters(rng, 35),
            lambda: "sk_live_" + _letters(rng, 24),
            lambda: "hf_" + _letters(rng, 34, string.ascii_letters),
            lambda: f"eyJ{_letters(rng, 33)}.eyJ{_letters(rng, 80)}.{_letters(rng, 43)}",
            lambda: "glpat-" + _letters(rng, 20),
            lambda: "npm_" + _letters(rng, 36),
            lambda: "gsk_" + _letters(rng, 52),
            lambda: "dapi" + _letters(rng, 32, "0123456789abcdef"),
            lambda: "shpat_" + _letters(rng, 32, "0123456789abcdef"),
            lambda: "dckr_pat_" + _letters(rng, 27),
        )
    )()


def _private_key(rng: random.Random) -> str:
    name = rng.choice(("RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED "))
    lines = "\n".join(_letters(rng, 64) for _ in range(rng.randrange(2, 20)))
    return f"-----BEGIN {name}PRIVATE KEY-----\n{lines}==\n-----END {name}PRIVATE KEY-----"


MAKERS = {
    "private_keys": _private_key,
    "api_keys": _api_key,
    "emails": _email,
    "ibans": _iban,
    "cards": _card,
    "ips": _ip,
    "phones": _phone,
}


@dataclass
class Score:
    """Of one kind: what was found rightly, what wrongly, and what was missed."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / max(self.right + len(self.wrong), 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + len(self.missed), 1)


def score(found_by: Search) -> dict[Kind, Score]:
    """By kind; a thing counts as found where kind, beginning and end are right."""
    scores: dict[Kind, Score] = {kind: Score() for kind in PLACEHOLDERS}
    for text, things in examples():
        found = [(each.kind, text[each.start : each.end]) for each in found_by.find(text)]
        for kind, thing in found:
            if (kind, thing) in things:
                scores[kind].right += 1
            else:
                scores[kind].wrong.append(thing)
        for kind, thing in things:
            if (kind, thing) not in found:
                scores[kind].missed.append(thing)
    return scores


def table(scores: dict[Kind, Score]) -> Iterator[str]:
    """As it stands in docs/privacy.md."""
    yield "| kind | things | precision | recall | taken wrongly | missed |"
    yield "| --- | ---: | ---: | ---: | --- | --- |"
    for kind, one in scores.items():
        wrong, missed = (_some(things) for things in (one.wrong, one.missed))
        total = one.right + len(one.missed)
        yield f"| {kind} | {total} | {one.precision:.3f} | {one.recall:.3f} | {wrong} | {missed} |"


def _some(things: list[str], most: int = 6) -> str:
    shown = ", ".join(f"`{thing}`" for thing in things[:most])
    return shown if len(things) <= most else f"{shown} and {len(things) - most} more"


if __name__ == "__main__":
    print("\n".join(table(score(Search(("US", "GB"))))))
