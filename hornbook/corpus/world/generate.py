"""The whole sample world: the corpus on all cores, the labelled set, the instruction set."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count

from hornbook.corpus.tables import Instruction, Labelled
from hornbook.corpus.world.questions import counting, ending, finding, language
from hornbook.corpus.world.questions.question import Question
from hornbook.corpus.world.settings import FIRST_LABELLED, FIRST_QUESTION, WorldSettings
from hornbook.corpus.world.state import World
from hornbook.corpus.world.story import GENRES, Story, make_story, random_of

CHUNK = 2_000
"""Stories that a worker tells at a time."""
MAKERS: dict[str, Callable[[World], Question]] = {
    "who": finding.who,
    "where": finding.where,
    "list": counting.listing,
    "count": counting.count,
    "past": language.past,
    "finish": ending.finish,
    "compare": counting.compare,
    "spell": language.spell,
}
CATEGORIES = tuple(MAKERS)
_CYCLE = (*CATEGORIES[:-1], *CATEGORIES)
"""Spelling comes half as often: there are only so many words to spell."""
PATIENCE = 100
"""A kind of question is given up after this many repetitions of known ones in a row."""


def generate_texts(
    settings: WorldSettings,
    progress: Callable[[int], None] | None = None,
    workers: int | None = None,
) -> Iterator[str]:
    """The corpus, story by story in the order of their indexes.

    Args:
        settings: how many stories, and the seed.
        progress: called with the number of stories that have been finished since the last call.
        workers: processes to use, all cores when not given; the stories do not depend on it.
    """
    spans = [
        (start, min(start + CHUNK, settings.stories)) for start in range(0, settings.stories, CHUNK)
    ]
    for texts in _chunks(settings.seed, spans, workers or os.cpu_count() or 1):
        if progress is not None:
            progress(len(texts))
        yield from texts


def _chunks(seed: int, spans: list[tuple[int, int]], workers: int) -> Iterator[list[str]]:
    if min(workers, len(spans)) == 1:
        for span in spans:
            yield _texts(seed, *span)
        return
    with ProcessPoolExecutor(workers) as pool:
        pending: deque[Future[list[str]]] = deque()
        for span in spans:
            pending.append(pool.submit(_texts, seed, *span))
            if len(pending) > 2 * workers:  # so that a slow reader never has the corpus in memory
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _texts(seed: int, start: int, stop: int) -> list[str]:
    return [make_story(seed, index).text for index in range(start, stop)]


def labelled_examples(settings: WorldSettings) -> list[Labelled]:
    """Two sentences of a story, and the story's genre; genres take turns.

    None of the stories is in the corpus. Whole stories would be too easy to tell apart: some word
    always gives the genre away.
    """
    first = FIRST_LABELLED - FIRST_LABELLED % len(GENRES)
    made = (make_story(settings.seed, first + index) for index in range(settings.labelled))
    return [Labelled(text=_excerpt(story, settings.seed), label=story.genre) for story in made]


def _excerpt(story: Story, seed: int) -> str:
    """Two neighbouring sentences from anywhere in a story."""
    start = random_of(seed, len(story.text)).randrange(max(len(story.sentences) - 1, 1))
    return " ".join(story.sentences[start : start + 2])


def make_question(seed: int, index: int, category: str) -> Instruction:
    """The question of this seed and index, a pure function of them."""
    question = MAKERS[category](World(random_of(seed, FIRST_QUESTION + index)))
    return Instruction(
        instruction=question.instruction,
        input=question.input,
        output=question.output,
        category=category,
    )


def instruction_examples(settings: WorldSettings) -> list[Instruction]:
    """Questions with their answers, no two alike; kinds take turns.

    Far beyond the default number, a kind can run dry and the list stays shorter than asked.
    """
    known: set[tuple[str, str]] = set()
    examples: list[Instruction] = []
    indexes = count()
    dry: set[str] = set()
    for turn in range(settings.instructions):
        category = _CYCLE[turn % len(_CYCLE)]
        if category in dry:
            continue
        for _ in range(PATIENCE):
            example = make_question(settings.seed, next(indexes), category)
            if (example.instruction, example.input) not in known:
                known.add((example.instruction, example.input))
                examples.append(example)
                break
        else:
            dry.add(category)
    return examples
