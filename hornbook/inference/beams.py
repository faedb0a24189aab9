"""Beam search: the likeliest whole text, instead of the likeliest token each time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from hornbook.errors import HornbookError
from hornbook.inference.batch import check_prompts
from hornbook.inference.decoder import Decoder
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime


@dataclass(frozen=True)
class Beam:
    """A text that the search has found."""

    ids: tuple[int, ...]
    """What follows the prompt, without the token that ended it."""
    score: float
    """Log-probability of it, divided by its length to the power of the length penalty."""


def beam_search(
    model: Transformer,
    prompt: Sequence[int],
    beams: int,
    max_new_tokens: int,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
    length_penalty: float = 1.0,
) -> list[Beam]:
    """The best texts that `beams` parallel guesses lead to, the best first.

    In each step every guess is continued by every token, and the likeliest `beams` go on. The search
    ends when as many have ended and none that goes on is better at its present length (Wu et al.
    2016, GNMT, §7; the rules are those of transformers' `generate` with early_stopping=False).

    Raises:
        HornbookError: no beams or tokens asked for, a prompt that the model cannot go on from, or
            one that leaves too little of the context.
    """
    check_prompts(model.config, [prompt])
    if beams < 1 or max_new_tokens < 1:
        raise HornbookError("beam search needs at least one beam and one new token.")
    if len(prompt) + max_new_tokens > model.config.context_length:
        raise HornbookError(
            f"{len(prompt)} tokens and {max_new_tokens} new ones are more than the model reads "
            f"({model.config.context_length}); beam search cannot forget any."
        )
    decoder = Decoder(model, 1, runtime, len(prompt) + max_new_tokens)
    cache = decoder.new_cache(beams)
    ids = torch.tensor([list(prompt)] * beams, device=decoder.device)
    texts: list[tuple[int, ...]] = [()] * beams
    # All beams begin alike: only the first may be continued.
    scores = torch.full((beams,), -torch.inf, dtype=torch.float64, device=decoder.device)
    scores[0] = 0.0
    ended: list[Beam] = []
    for length in range(1, max_new_tokens + 1):
        logprobs = decoder.logits(ids, cache)[:, -1].double().log_softmax(-1)  # (beams, vocab)
        vocab_size = logprobs.shape[1]
        # Twice as many, so that enough go on when half of them end.
        best = (scores[:, None] + logprobs).flatten().topk(min(2 * beams, logprobs.numel()))
        going: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(
            zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ):
            beam, token = divmod(place, vocab_size)
            if token in stop_ids:
                if rank < beams:
                    ended.append(Beam(texts[beam], score / length**length_penalty))
            elif len(going) < beams:
                going.append((score, beam, token))
                if length == max_new_tokens and rank < beams:
                    ended.append(Beam((*texts[beam], token), score / length**length_penalty))
        ended = sorted(ended, key=lambda found: -found.score)[:beams]
        if not going or (
            len(ended) == beams and going[0][0] / length**length_penalty <= ended[-1].score
        ):
            break
        going += [(-torch.inf, *going[0][1:])] * (beams - len(going))  # a tiny vocabulary
        rows = [beam for _, beam, _ in going]
        texts = [(*texts[beam], token) for _, beam, token in going]
        scores = scores.new_tensor([score for score, _, _ in going])
        ids = torch.tensor([[token] for _, _, token in going], device=decoder.device)
        cache.keep(torch.tensor(rows, device=decoder.device))
    return ended
