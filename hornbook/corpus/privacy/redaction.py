"""Personal data and secrets replaced by placeholders, or their documents dropped, kind by kind."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.parallel import computed
from hornbook.corpus.privacy.finding import PLACEHOLDERS, Found, Kind, Search, put_placeholders
from hornbook.corpus.privacy.metadata import redact_metadata
from hornbook.corpus.step import EXAMPLES, EXCERPT, Step, Tally

Action = Literal["keep", "replace", "drop"]
Metadata = Mapping[str, Any]

LEAD = 60
"""Characters before what was found that an example shows."""


class PrivacySettings(Settings):
    """What becomes of personal data and secrets: "keep" them, "replace" each by a placeholder, or
    "drop" the whole document. All are kept, unless asked for."""

    emails: Action = "keep"
    """E-mail addresses, by <EMAIL>; not those of example.com and its like."""
    phones: Action = "keep"
    """Phone numbers, by <PHONE>; needs pip install "hornbook[corpus]"."""
    phone_regions: tuple[str, ...] = ("US", "GB")
    """Two-letter codes of the countries whose numbers are found without a "+" too."""
    ips: Action = "keep"
    """Global IPv4 and IPv6 addresses, by <IP>; not private ones and not versions."""
    cards: Action = "keep"
    """Payment cards, by <CARD>; needs pip install "hornbook[corpus]"."""
    ibans: Action = "keep"
    """Bank accounts, by <IBAN>; needs pip install "hornbook[corpus]"."""
    api_keys: Action = "keep"
    """Keys and tokens of well-known services, by <API_KEY>."""
    private_keys: Action = "keep"
    """PEM blocks of private keys, by <PRIVATE_KEY>."""


@dataclass(frozen=True)
class Outcome:
    """What has become of one document."""

    counts: Mapping[Kind, int] = field(default_factory=dict)
    """How many things of each kind it had, in the order in which they came."""
    drop: Kind | None = None
    """The kind for which it is dropped."""
    text: str | None = None
    """The new text; None where it is as it was."""
    metadata: Metadata | None = None
    """The new metadata; None where they are as they were."""
    id: str | None = None
    """The new id; None where it is as it was."""
    excerpts: Mapping[Kind, str] = field(default_factory=dict)
    """What a tally may show of it: without anything personal or secret of any kind."""


NOTHING = Outcome()


def make_steps(settings: PrivacySettings, workers: int | None = None) -> list[Step]:
    """The step, if anything is not to be kept.

    Args:
        workers: processes; as many as there are cores when None. The outcome does not hang on it.

    Raises:
        HornbookError: phonenumbers or python-stdnum is not installed, or a region is unknown.
    """
    search = make_search(settings)
    actions = {kind: getattr(settings, kind) for kind in PLACEHOLDERS}
    return [] if search is None else [Privacy(actions, search, workers)]


def make_search(settings: PrivacySettings) -> Search | None:
    """What finds that which must not be shown; None where all is kept.

    Raises:
        HornbookError: see `make_steps`.
    """
    if not taken_out(settings):
        return None
    return Search(settings.phone_regions)


def taken_out(settings: PrivacySettings) -> tuple[Kind, ...]:
    """The kinds that are not kept."""
    return tuple(kind for kind in PLACEHOLDERS if getattr(settings, kind) != "keep")


def count_private(texts: Iterable[str], settings: PrivacySettings) -> tuple[Counter[Kind], int]:
    """How many things of each kind that is not kept texts have, and how many of the texts have any.

    Raises:
        HornbookError: see `make_steps`.
    """
    search, kinds = make_search(settings), taken_out(settings)
    counts: Counter[Kind] = Counter()
    having = 0
    if search is not None:
        for text in texts:
            found = [each.kind for each in search.find(text, kinds)]
            counts.update(found)
            having += bool(found)
    return counts, having


class Privacy:
    """Replaces personal data and secrets, or drops the documents that have them, in several processes.

    Metadata are searched as the text is. In ids, which a document is called by and split by, things are
    replaced, never a reason to drop it. The examples in its tallies are shown without any of it, also
    without the kinds that are kept. Memory: a batch of up to 4 million characters for each process, and
    one more.
    """

    def __init__(
        self,
        actions: Mapping[Kind, Action],
        search: Search,
        workers: int | None = None,
    ) -> None:
        """See `PrivacySettings`; a kind that `actions` does not name is kept."""
        self.search = search
        """Finds all kinds."""
        wanted = {
            kind: actions[kind] for kind in PLACEHOLDERS if actions.get(kind, "keep") != "keep"
        }
        self._redactor = Redactor(self.search, wanted)
        self._tallies = {kind: Tally(kind) for kind in wanted}
        self._workers = workers

    @property
    def tallies(self) -> list[Tally]:
        """One for each kind that is not kept."""
        return list(self._tallies.values())

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, with placeholders.

        Raises:
            HornbookError: a process has died.
        """
        work = "looks for personal data"
        for batch, outcomes in computed(documents, self._redactor, self._workers, work, _parts_of):
            for document, outcome in zip(batch, outcomes, strict=True):
                self._count(document, outcome)
                if outcome.drop is None:
                    yield _changed(document, outcome)

    def _count(self, document: Document, outcome: Outcome) -> None:
        for tally in self._tallies.values():
            tally.seen += 1
        for kind in [outcome.drop] if outcome.drop else outcome.counts:
            shown = replace(document, text=outcome.excerpts.get(kind, ""))
            tally = self._tallies[kind]
            act = tally.remove if outcome.drop else tally.change
            act(shown, f"{outcome.counts[kind]} of this kind")


def _parts_of(document: Document) -> tuple[str, Metadata, str]:
    return document.text, document.metadata, document.id


def _changed(document: Document, outcome: Outcome) -> Document:
    if outcome.text is not None:
        document = replace(document, text=outcome.text)
    if outcome.metadata is not None:
        document = replace(document, metadata=outcome.metadata)
    if outcome.id is not None:
        document = replace(document, id=outcome.id)
    return document


def _new_id(redacted: str, text: str) -> str:
    """An id without what was in it, that still is another one for another text.

    What is added comes from what is left, and so tells nothing of what was taken out.
    """
    left = f"{redacted}\n{text}".encode("utf-8", "surrogatepass")
    return f"{redacted}~{hashlib.blake2b(left, digest_size=6).hexdigest()}"


class Redactor:
    """Looks at batches of documents. It can be pickled, for other processes."""

    def __init__(self, search: Search, actions: Mapping[Kind, Action]) -> None:
        """`actions` has the kinds that are not kept."""
        self._search, self._actions = search, actions

    def __call__(self, documents: Sequence[tuple[str, Metadata, str]]) -> list[Outcome]:
        """What becomes of each text with its metadata and id; with excerpts of the first few of each
        kind."""
        shown: Counter[Kind] = Counter()
        return [self._redact(*document, shown) for document in documents]

    def _redact(self, text: str, metadata: Metadata, name: str, shown: Counter[Kind]) -> Outcome:
        found = self._search.find(text, self._actions)
        changed, also = (
            redact_metadata(metadata, self._search, self._actions) if metadata else ({}, [])
        )
        named = self._search.find(name, self._actions)
        if not found and not also and not named:
            return NOTHING
        counts = Counter([each.kind for each in found] + also)
        drop = next((kind for kind in counts if self._actions[kind] == "drop"), None)
        if not drop:
            counts.update(each.kind for each in named)
        excerpts = {}
        for kind in [drop] if drop else counts:
            if shown[kind] < EXAMPLES:
                shown[kind] += 1
                excerpts[kind] = self._excerpt(kind, text, found)
        if drop:
            return Outcome(counts, drop, excerpts=excerpts)
        new = put_placeholders(text, found) if found else None
        left = text if new is None else new
        new_id = _new_id(put_placeholders(name, named), left) if named else None
        return Outcome(counts, None, new, changed if also else None, new_id, excerpts)

    def _excerpt(self, kind: Kind, text: str, found: list[Found]) -> str:
        """The text around the first thing of a kind; from its beginning if it is not in the text."""
        place = next((each.start for each in found if each.kind == kind), 0)
        everything = self._search.find(text)
        return put_placeholders(text, everything, max(0, place - LEAD))[:EXCERPT]
