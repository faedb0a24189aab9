"""The model writes, token after token, one text or many at once."""

from collections.abc import Collection, Iterator, Sequence

from hornbook.inference.batch import Batch, Text, check_prompts
from hornbook.inference.decoder import Decoder
from hornbook.inference.settings import GenerationSettings as GenerationSettings
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime


def generate(
    model: Transformer,
    prompt_ids: list[int],
    settings: GenerationSettings,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
) -> Iterator[int]:
    """Token ids that continue a prompt, each as soon as it is known.

    Writing ends before the first of `stop_ids` or after `max_new_tokens`. When the context is
    full, the model forgets the older half of it and reads the newer half again, so that writing
    can go on for any length. Without a runtime, products are float32 on the model's device.

    Raises:
        HornbookError: the prompt is empty, longer than the context, or not in the vocabulary;
            or the model's logits are not numbers.
    """
    check_prompts(model.config, [prompt_ids])
    pairs = _write(model, {0: prompt_ids}, settings, stop_ids, runtime)
    return (token for _, token in pairs)


def generate_batch(
    model: Transformer,
    prompts: Sequence[list[int]],
    settings: GenerationSettings,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
    batch_size: int = 64,
) -> list[list[int]]:
    """The answers to many prompts of any lengths, in the prompts' order.

    Each greedy answer is the one that `generate` gives (up to rounding: two logits within 1e-6 of
    each other may change places). Sampled answers hang on the seed and the prompt's number,
    not on `batch_size`.

    Raises:
        HornbookError: as `generate`, for any of the prompts.
    """
    check_prompts(model.config, prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    if prompts:
        numbered = dict(enumerate(prompts))
        for index, token in _write(model, numbered, settings, stop_ids, runtime, batch_size):
            answers[index].append(token)
    return answers


def _write(
    model: Transformer,
    prompts: dict[int, list[int]],
    settings: GenerationSettings,
    stop_ids: Collection[int],
    runtime: Runtime | None,
    batch_size: int = 1,
) -> Iterator[tuple[int, int]]:
    """Pairs of a prompt's number and its next token, for all prompts."""
    most = max(map(len, prompts.values())) + settings.max_new_tokens
    decoder = Decoder(model, min(batch_size, len(prompts)), runtime, most)
    batch = Batch(decoder)
    numbers: dict[Text, int] = {}
    for number, prompt in prompts.items():
        text = Text(prompt, settings, stop_ids, stream=number, slides=True)
        numbers[text] = number
        batch.add(text)
    while batch.busy:
        for text, choice, _ in batch.step():
            if choice is not None:
                yield numbers[text], choice.token
