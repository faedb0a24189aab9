"""Many requests answered at once, to measure a model that follows instructions."""

from collections.abc import Collection, Sequence

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.templates import Template, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer

ANSWER_TOKENS = 64
"""Most tokens of an answer."""


def answer_prompts_greedily(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[list[int]],
    template: Template,
    runtime: Runtime,
    further_stops: Collection[int] = (),
    max_new_tokens: int = ANSWER_TOKENS,
) -> list[str]:
    """The likeliest answer to each prompt, in their order, without white space around it.

    A prompt that leaves the model no room to answer gets an empty answer. An answer ends at the
    template's end, or at one of `further_stops`.
    """
    longest = model.config.context_length - 1
    fitting = [number for number, prompt in enumerate(prompts) if len(prompt) <= longest]
    greedy = GenerationSettings(max_new_tokens=max_new_tokens, temperature=0)
    stops = ends_of_answer(tokenizer, template, further_stops)
    given = generate_batch(model, [prompts[n] for n in fitting], greedy, stops, runtime)
    answers = [""] * len(prompts)
    for number, ids in zip(fitting, given, strict=True):
        answers[number] = tokenizer.decode(ids).strip()
    return answers


def ends_of_answer(
    tokenizer: Tokenizer, template: Template, further_stops: Collection[int]
) -> set[int]:
    """Where an answer ends: the template's end, the end of text, and `further_stops`.

    Raises:
        HornbookError: there is no such token at all.
    """
    try:
        return {*stop_ids(tokenizer, template), *further_stops}
    except HornbookError:
        if not further_stops:
            raise
        return set(further_stops)
