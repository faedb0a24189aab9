"""A Hornbook model for EleutherAI's lm-evaluation-harness: the field's benchmarks, as everybody runs them.

The harness makes the requests and scores the answers; here is only what a model has to do for it. The
log-likelihoods are those of the harness's own `hf` model for the same weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from hornbook.console import track
from hornbook.errors import HornbookError
from hornbook.evaluation.stopping import cut_at
from hornbook.evaluation.text_losses import LOGITS_AT_ONCE, batches_by_length
from hornbook.inference.generate import GenerationSettings, generate_batch
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.tokenizing.tokenizer import Tokenizer

MAX_NEW_TOKENS = 256
"""Most tokens that are written where a task says nothing; the harness's own default."""

TokenRequest = tuple[Any, list[int], list[int]]
"""Whatever the request is known by, the ids of the context, and those to be scored."""


class HarnessModel(TemplateLM):  # type: ignore[misc]  # the harness is not typed
    """What the harness asks of a language model, answered by a Hornbook model."""

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        runtime: Runtime,
        opening_ids: Sequence[int] = (),
    ) -> None:
        """`opening_ids` are what the model was trained to read before every text.

        Raises:
            HornbookError: the tokenizer has no token that begins or ends a text.
        """
        super().__init__()
        self.model, self.runtime = model, runtime
        self._tokens, self._opening = tokenizer, list(opening_ids)
        first = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.eos_id
        if first is None:
            raise HornbookError(
                "this tokenizer has no token that begins or ends a text, which a benchmark's first "
                "token is read after; name one in its tokenizer_config.json."
            )
        self._first = first

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        return self._first if self._tokens.eos_id is None else self._tokens.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The id that a text's first token is scored after."""
        return self._first

    @property
    def tokenizer_name(self) -> str:
        """What the harness tells cached requests apart by."""
        return self._tokens.fingerprint

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """A text's ids, after the tokens that the model was trained to read first."""
        ids = self._tokens.encode(string)
        return ids if add_special_tokens is False else [*self._opening, *ids]

    def _loglikelihood_tokens(
        self, requests: Sequence[TokenRequest], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        """Of each continuation, log p in nats, and whether each of its tokens is the likeliest.

        What is too long for the model loses its first tokens.
        """
        length = self.model.config.context_length
        pairs = []
        for _name, context, continuation in requests:
            ids = [*context, *continuation][-(length + 1) :]
            scored = min(len(continuation), len(ids) - 1)
            targets = [IGNORE] * (len(ids) - 1 - scored) + ids[len(ids) - scored :]
            pairs.append((ids[:-1], targets))
        examples = Examples(pairs, pad_id=0, max_length=length)
        found: list[tuple[float, bool]] = [(0.0, True)] * len(pairs)
        batches = batches_by_length(examples)
        for chosen in batches if disable_tqdm else track(batches, "score", None, "batch"):
            for index, answer in zip(chosen, self._score(examples, chosen), strict=True):
                found[index] = answer
        return found

    @torch.no_grad()
    def _score(self, examples: Examples, chosen: Sequence[int]) -> list[tuple[float, bool]]:
        inputs, targets = (tensor.to(self.runtime.device) for tensor in examples.collate(chosen))
        trained = targets != IGNORE  # (batch, tokens)
        wanted = targets[trained]  # (scored,)
        chunk = max(LOGITS_AT_ONCE // self.model.head.out_features, 64)
        self.model.eval()
        losses, right = [], []
        with self.runtime.autocast():
            rows = self.model.hidden(inputs)[trained]  # (scored, embed_dim)
            for some, ids in zip(torch.split(rows, chunk), torch.split(wanted, chunk), strict=True):
                logits = self.model.head(some).float()  # (chunk, vocab)
                losses.append(F.cross_entropy(logits, ids, reduction="none"))
                right.append(logits.argmax(dim=-1) == ids)
        owners = trained.nonzero()[:, 0].cpu().numpy()
        nats = np.bincount(owners, torch.cat(losses).double().cpu().numpy(), len(chosen))
        wrong = np.bincount(owners, (~torch.cat(right)).cpu().numpy(), len(chosen))
        return [(-float(n), bool(w == 0)) for n, w in zip(nats, wrong, strict=True)]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Of each text, log p in nats, every token scored once."""
        windows: list[TokenRequest] = []
        owners: list[int] = []
        for owner, request in enumerate(requests):
            cut = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.model.config.context_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, cut):
                windows.append((None, context, continuation))
                owners.append(owner)
        scores = [score for score, _ in self._loglikelihood_tokens(windows, disable_tqdm)]
        return [float(total) for total in np.bincount(owners, scores, len(requests))]

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """What the model writes after each context, up to one of the task's stop strings.

        Raises:
            HornbookError: a task asks for several answers drawn at random with other settings than
                temperature and top-p.
        """
        groups: dict[tuple[int, float, float | None], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(_generation_key(request.args[1]), []).append(number)
        answers = [""] * len(requests)
        for (tokens, temperature, top_p), numbers in groups.items():
            room = self.model.config.context_length
            tokens = min(tokens, max(room // 2, 1))
            settings = GenerationSettings(
                max_new_tokens=tokens, temperature=temperature, top_p=top_p, top_k=None
            )
            prompts = [self._prompt(requests[n].args[0])[-(room - tokens) :] for n in numbers]
            stops = [self.eot_token_id]
            given = generate_batch(self.model, prompts, settings, stops, self.runtime)
            for number, ids in zip(numbers, given, strict=True):
                until = requests[number].args[1].get("until") or []
                until = [until] if isinstance(until, str) else until
                # As the harness's own model does: a control token in an answer is no text.
                text = self._tokens.decode(ids, skip_special=True)
                answers[number] = cut_at(text, until)
        return answers

    def _prompt(self, context: str) -> list[int]:
        return self.tok_encode(context) or [self.prefix_token_id]


def _generation_key(asked: dict[str, Any]) -> tuple[int, float, float | None]:
    tokens = int(asked.get("max_gen_toks", asked.get("max_new_tokens", MAX_NEW_TOKENS)))
    temperature = float(asked.get("temperature", 0.0)) if asked.get("do_sample") else 0.0
    top_p = asked.get("top_p")
    return tokens, temperature, None if top_p is None else float(top_p)
