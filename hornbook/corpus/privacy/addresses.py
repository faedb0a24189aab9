"""E-mail and IP addresses.

A search begins at a character that every address has ("@", a digit before a full stop), so that text
without one costs a look at each character at most, and every repetition is bounded or possessive:
no text makes the search backtrack for long.
"""

import ipaddress
import re
from collections.abc import Iterator

from hornbook.corpus.privacy.span import Span, character, follows

LONGEST_LOCAL = 64
"""Characters before the "@" (RFC 5321, section 4.5.3.1.1)."""
LOCAL_SIGNS = "._%+'-"
DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}+\.){1,8}[^\W\d_]{2,24}+(?![\w(-])")
"""Labels and a top-level domain; "(" after it is a call in a program, as in `x@w.mean()`."""
FILE_ENDINGS = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "avif",
        "ico",
        "bmp",
        "tif",
        "tiff",
        "css",
        "js",
        "mjs",
        "json",
        "html",
        "htm",
        "xml",
        "pdf",
    ]
)
"""What stands in the place of a top-level domain in `logo@2x.png`."""
LONGEST_TITLE = 3
"""Letters of a top-level domain written "Com": of longer ones, a sentence begins in its place, as in
"ticket at me@kiosk.Valid till"."""
RESERVED_ENDINGS = frozenset(["example", "test", "invalid", "localhost", "local"])
RESERVED_DOMAINS = frozenset(("example.com", "example.net", "example.org"))
"""Kept for documentation (RFC 2606, RFC 6761): nobody's."""
CLONES = frozenset(("git", "hg", "svn"))
PATH = re.compile(r":[\w.~-]{0,100}+/|/")
"""What follows the host in `git@github.com:org/repo` and `user@host.org:folder/`."""

IPV4 = re.compile(r"[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9]{1,3}+\.[0-9]{1,3}+(?![\w]|\.[0-9]|-[A-Za-z])")
IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:.]{2,40}+(?![\w:])")
"""Global ones begin with 2 or 3: 2000::/3 (RFC 4291, section 2.4)."""
NUMBERED = re.compile(
    r"(?:\b(?:ver|version|versions|release|build|firmware|driver|kernel|rev|revision|patch|sdk|sec"
    r"|section|chapter|clause|article|paragraph|table|figure|fig|oid)|§)[\s.:]{0,3}+(?:no\.? ?)?$",
    re.IGNORECASE,
)
"""Before a version or a section of four numbers."""


def find_emails(text: str) -> Iterator[Span]:
    """E-mail addresses; none of those that are reserved for documentation."""
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at + 1)
        start = _local_start(text, at) if domain else at
        if (
            domain
            and start < at
            and not _is_no_email(text, start, at, domain.group(), domain.end())
        ):
            yield Span(start, domain.end())
        at = text.find("@", at + 1)


def _local_start(text: str, at: int) -> int:
    """Where the part before the "@" begins; `at` if there is none."""
    start, limit = at, max(0, at - LONGEST_LOCAL)
    while start > limit and (text[start - 1].isalnum() or text[start - 1] in LOCAL_SIGNS):
        start -= 1
    while start < at and text[start] in LOCAL_SIGNS:
        start += 1
    return start


def _is_no_email(text: str, start: int, at: int, domain: str, end: int) -> bool:
    last = domain.rpartition(".")[2]
    if last.istitle() and len(last) > LONGEST_TITLE:
        return True
    labels = domain.lower().split(".")
    if labels[-1] in FILE_ENDINGS or labels[-1] in RESERVED_ENDINGS:
        return True
    if ".".join(labels[-2:]) in RESERVED_DOMAINS:
        return True
    path = PATH.match(text, end)
    return path is not None and (text[start:at] in CLONES or path.group() != "/")


def find_ips(text: str) -> Iterator[Span]:
    """Global IPv4 and IPv6 addresses, as `ipaddress` calls them: no private or documentation ones."""
    # Either kind has a sign that most texts have, too: of each kind only where the other is not.
    spans = [*_find_ipv4(text), *_find_ipv6(text)] if "." in text or ":" in text else []
    yield from sorted(spans)


def _find_ipv4(text: str) -> Iterator[Span]:
    for match in IPV4.finditer(text):
        start, end = match.span()
        before = character(text, start - 1)
        if before.isalnum() or before in tuple("._-"):
            continue
        # "Chrome/1.2.3.4" is a version, "//1.2.3.4" a place.
        if before == "/" and character(text, start - 2) != "/":
            continue
        numbers = match.group().split(".")
        # 1.2.3.4 is an address that exists, and nearly always a version or a section.
        if all(len(number) == 1 for number in numbers) or follows(text, start, NUMBERED):
            continue
        if _is_global(match.group()):
            yield Span(start, end)


def _find_ipv6(text: str) -> Iterator[Span]:
    for match in IPV6.finditer(text):
        start = match.start()
        before = character(text, start - 1)
        if before.isalnum() or before in tuple("_:."):
            continue
        address = match.group().rstrip(":.") if not match.group().endswith("::") else match.group()
        if sum(map(bool, address.split(":"))) >= 3 and _is_global(address):
            yield Span(start, start + len(address))


def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
