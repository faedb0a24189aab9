"""Personal data and secrets in what a document's file says about it: plain JSON values, nested ones too."""

from collections.abc import Collection, Mapping
from typing import Any

from hornbook.corpus.privacy.finding import Found, Kind, Search, put_placeholders


def redact_metadata(
    metadata: Mapping[str, Any], search: Search, kinds: Collection[Kind]
) -> tuple[dict[str, Any], list[Kind]]:
    """Metadata with placeholders, and the kinds of what was found, one by one.

    A value is looked at behind its field's name: `{"phone": "2125550123"}` is a phone number,
    `{"order": "4111111111111111"}` no card. Whole numbers are looked at as they are written, and so is
    all that is no JSON value; what has nothing in it stays as it is.
    """
    found: list[Kind] = []

    def plain(text: str, name: str = "") -> str:
        lead = f"{name.replace('_', ' ')}: " if name else ""
        whole = search.find(lead + text, kinds) if text else []
        own = [
            Found(kind, start - len(lead), end - len(lead))
            for kind, start, end in whole
            if start >= len(lead)
        ]
        found.extend(each.kind for each in own)
        return put_placeholders(text, own)

    def redacted(value: Any, name: str) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, Mapping):
            return {plain(str(key)): redacted(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(item, name) for item in value]
        written = str(value)
        changed = plain(written, name)
        return value if changed == written else changed

    fields = {name: redacted(value, name) for name, value in metadata.items()}
    return fields, found
