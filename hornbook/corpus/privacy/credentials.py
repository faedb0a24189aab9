"""API keys by the beginnings that their issuers give them, and private keys in PEM blocks."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from hornbook.corpus.privacy.span import Span, character


class KeyForm(NamedTuple):
    """How the keys of one issuer look."""

    issuer: str
    hints: tuple[str, ...]
    """Every such key has one of these: a text without them is not searched."""
    pattern: re.Pattern[str]


FORMS = tuple(
    KeyForm(issuer, tuple(hints.split("|")), re.compile(pattern))
    for issuer, hints, pattern in (
        ("AWS", "AKIA", r"AKIA[0-9A-Z]{16}+"),
        ("AWS", "ASIA", r"ASIA[0-9A-Z]{16}+"),
        # A secret key has no beginning of its own: by the name that it is given to.
        (
            "AWS",
            "ecret_access_key|ECRET_ACCESS_KEY|ecretAccessKey",
            r"(?i:secret_?access_?key)[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?P<key>[A-Za-z0-9/+]{40}+)",
        ),
        (
            "Azure",
            "AccountKey=|SharedAccessKey=",
            r"(?:Account|SharedAccess)Key=(?P<key>[A-Za-z0-9/+]{43,86}+={1,2}+)",
        ),
        ("GitHub", "ghp_|gho_|ghu_|ghs_|ghr_", r"gh[pousr]_[A-Za-z0-9]{36,251}+"),
        ("GitHub", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}+"),
        ("GitLab", "glpat-", r"glpat-[A-Za-z0-9_-]{20,64}+"),
        ("OpenAI and Anthropic", "sk-", r"sk-(?:[a-z]{3,12}\d{0,2}-)?[A-Za-z0-9_-]{20,200}+"),
        ("Groq", "gsk_", r"gsk_[A-Za-z0-9]{40,60}+"),
        ("xAI", "xai-", r"xai-[A-Za-z0-9]{60,100}+"),
        ("Replicate", "r8_", r"r8_[A-Za-z0-9]{37}+"),
        ("Perplexity", "pplx-", r"pplx-[A-Za-z0-9]{40,64}+"),
        ("NVIDIA", "nvapi-", r"nvapi-[A-Za-z0-9_-]{60,80}+"),
        ("Slack", "xox", r"xox[abeoprs]-[A-Za-z0-9-]{20,250}+"),
        ("Slack", "xapp-", r"xapp-[0-9]-[A-Za-z0-9-]{20,250}+"),
        (
            "Slack",
            "hooks.slack.com/services/",
            r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,32}+",
        ),
        ("Google", "AIza", r"AIza[0-9A-Za-z_-]{35}+"),
        ("Google", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{28}+"),
        ("Google", "ya29.", r"ya29\.[0-9A-Za-z_-]{30,500}+"),
        ("Stripe", "k_live_", r"[sr]k_live_[0-9A-Za-z]{20,250}+"),
        ("Stripe", "k_test_", r"[sr]k_test_[0-9A-Za-z]{20,250}+"),
        ("Stripe", "whsec_", r"whsec_[0-9A-Za-z+/]{32,64}+"),
        ("Hugging Face", "hf_", r"hf_[A-Za-z0-9]{30,40}+"),
        ("Databricks", "dapi", r"dapi[0-9a-f]{32}+(?:-[0-9]+)?+"),
        ("Docker", "dckr_pat_", r"dckr_pat_[A-Za-z0-9_-]{27}+"),
        ("HashiCorp Vault", "hvs.", r"hvs\.[A-Za-z0-9_-]{24,160}+"),
        ("Shopify", "shpat_|shpca_|shppa_|shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}+"),
        ("Square", "sq0", r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}+"),
        ("Mailgun", "key-", r"(?<!-)key-[0-9a-f]{32}+"),
        ("Mailchimp", "-us", r"[0-9a-f]{32}-us[0-9]{1,2}+"),
        ("Grafana", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}+"),
        ("Linear", "lin_api_", r"lin_api_[A-Za-z0-9]{40}+"),
        ("Notion", "ntn_", r"ntn_[0-9]{11}[A-Za-z0-9]{35}+"),
        ("New Relic", "NRAK-", r"NRAK-[A-Z0-9]{27}+"),
        ("Postman", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}+"),
        ("Atlassian", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{160,220}+"),
        ("RubyGems", "rubygems_", r"rubygems_[0-9a-f]{48}+"),
        ("age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}+"),
        ("npm", "npm_", r"npm_[A-Za-z0-9]{36}+"),
        ("PyPI", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,1000}+"),
        ("SendGrid", "SG.", r"SG\.[A-Za-z0-9_-]{22}+\.[A-Za-z0-9_-]{43}+"),
        ("Twilio", "SK", r"SK[0-9a-f]{32}+"),
        ("Telegram", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}+"),
        ("DigitalOcean", "_v1_", r"do[opr]_v1_[0-9a-f]{64}+"),
        (
            "JSON web token",
            "eyJ",
            r"eyJ(?<![\w-]eyJ)[A-Za-z0-9_-]{8,4000}+\.eyJ[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{16,2000}+",
        ),
    )
)
HINTED = {
    sign: [
        (hint, form)
        for form in FORMS
        for hint in form.hints
        if next((s for s in "_-" if s in hint), "") == sign
    ]
    for sign in ("_", "-", "")
}
"""The hints and their forms, by a sign in them that many texts have not."""
FEWEST_CHARACTERS = 8
"""Different ones that a key has at least: xxxxxxxx stands for a key."""
WORDS_ONLY = re.compile(r"[a-z]+(?:[-_][a-z]+)*")
"""After "sk-", as in the class `sk-folding-cube-with-shadow`."""

BEGIN = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----"
    r"|PuTTY-User-Key-File-[123]:"
)
END = re.compile(
    r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|---- END SSH2 (?:ENCRYPTED )?PRIVATE KEY ----"
    r"|Private-MAC: ?[0-9a-f]{40,64}+"
)
HINTS = ("-----BEGIN ", "---- BEGIN SSH2 ", "PuTTY-User-Key-File-")
BODY = re.compile(r"(?:[A-Za-z0-9+/=]++|\s++|\\[nr])*+")
"""What stands in a block whose end is missing: base64 and line breaks."""
LONGEST_BLOCK = 20_000
"""Characters; a key of 16,384 bits has 13,000."""


def find_api_keys(text: str) -> Iterator[Span]:
    """Keys and tokens of well-known services; neither examples nor stand-ins for one."""
    spans: list[Span] = []
    for sign, hinted in HINTED.items():
        if sign in text:
            for form in dict.fromkeys(form for hint, form in hinted if hint in text):
                spans += _find_form(text, form)
    yield from sorted(spans)


def _find_form(text: str, form: KeyForm) -> Iterator[Span]:
    for match in form.pattern.finditer(text):
        start, end = match.span("key" if "key" in form.pattern.groupindex else 0)
        before, after = character(text, start - 1), character(text, end)
        if before.isalnum() or before == "_" or after.isalnum():
            continue
        if not _is_stand_in(text[start:end]):
            yield Span(start, end)


def _is_stand_in(key: str) -> bool:
    """Whether it is an example of documentation, or made of words."""
    few = len(set(key)) < FEWEST_CHARACTERS
    return few or "EXAMPLE" in key.upper() or WORDS_ONLY.fullmatch(key) is not None


def find_private_keys(text: str) -> Iterator[Span]:
    """PEM blocks of private keys, also OpenSSH's and PGP's, SSH2's and PuTTY's files; certificates and
    public keys stay."""
    begin = BEGIN.search(text) if any(hint in text for hint in HINTS) else None
    while begin:
        following = BEGIN.search(text, begin.end())
        limit = min(begin.end() + LONGEST_BLOCK, following.start() if following else len(text))
        end = END.search(text, begin.end(), limit)
        body = BODY.match(text, begin.end(), limit)
        without_end = begin.end() + len(body.group().rstrip() if body else "")
        yield Span(begin.start(), end.end() if end else without_end)
        begin = following
