"""Runs the model for writing: reads prompts, then one token of each text in a step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hornbook.finetuning.bank import AdapterBank
from hornbook.inference.cuda_graph import recorder_for
from hornbook.inference.static_step import StaticStep, can_be_recorded
from hornbook.inference.weights import Weights, prepared, steady_rows
from hornbook.model.kv_cache import CHUNK, KVCache
from hornbook.model.mode import in_mode
from hornbook.model.rows_cache import RowsCache, StaticRowsCache
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime


class Decoder:
    """A model, and the memory for the texts that it writes side by side.

    A prompt is read alone, in a cache of its own, and then takes a row of the common one: so what
    is computed for it is the same whatever is written meanwhile.

    Args:
        model: left as it is.
        rows: most texts at a time.
        runtime: its dtype is that of the weights; float32 when not given.
        capacity: most tokens of a text; the model's context length when not given.
        weights: what the linear layers' weights are kept as, in place of the runtime's dtype.
        vocab_size: how many ids there are tokens for, where the model has more, as padded ones do.
        steady: fill steps up to so many rows that no text's bits hang on how many others there are
            (see `steady_rows`), and pack the weights whatever that takes: for a long life.
        adapters: those on `model`, of which each text may be written with one.
    """

    def __init__(
        self,
        model: Transformer,
        rows: int,
        runtime: Runtime | None = None,
        capacity: int | None = None,
        weights: Weights | None = None,
        steady: bool = False,
        vocab_size: int | None = None,
        adapters: AdapterBank | None = None,
    ) -> None:
        table = model.embedding.token.weight
        narrow = runtime is not None and runtime.dtype == torch.bfloat16
        self.model = prepared(model, weights or ("bfloat16" if narrow else "float32"), steady)
        self.device = table.device
        self.config = model.config
        self.rows = rows
        self._known = slice(vocab_size)
        recorder = recorder_for(self.device) if can_be_recorded(self.model) else None
        kind = RowsCache if recorder is None else StaticRowsCache
        self.cache = kind(
            model.config, rows, self.device, table.dtype, capacity, model.embedding.reach
        )
        self._static: StaticStep | None = None
        if recorder is not None:
            assert isinstance(self.cache, StaticRowsCache)
            self._static = StaticStep(self.model, self.cache, recorder, steady)
        self._capacity = self.cache.capacity
        self._adapters = adapters
        thin = () if adapters is None else adapters.products()
        self._fewest = steady_rows(self.model, rows, thin) if steady and rows > 1 else 1

    def new_cache(self, rows: int = 1) -> KVCache:
        """Memory for a text that is read alone, or for several that are read in step."""
        dtype = self.model.embedding.token.weight.dtype
        return KVCache(self.config, rows, self.device, dtype, self._capacity)

    def read(self, ids: Sequence[int], cache: KVCache, adapter: str | None = None) -> Tensor:
        """Read tokens that follow those in `cache`; logits of what comes next, float32 (1, vocab)."""
        if self._adapters is not None:
            self._adapters.use([adapter])
        return self.logits(torch.tensor([list(ids)], device=self.device), cache)[:, -1]

    def logits(self, ids: Tensor, cache: KVCache, last: int = 1) -> Tensor:
        """Of what follows each of the `last` tokens of int64 `ids` (rows, tokens).

        Float32 (rows, last, vocab). Many tokens are read some at a time, so that what lies between
        the layers takes no more memory for a long text than for a short one.
        """
        cache.expected = max(cache.expected, cache.length + ids.shape[1])
        with torch.inference_mode(), in_mode(self.model):
            while ids.shape[1] - last > CHUNK:
                self.model.hidden(ids[:, :CHUNK], cache)
                ids = ids[:, CHUNK:]
            hidden = self.model.hidden(ids, cache)[:, -last:]  # (rows, last, embed_dim)
            logits: Tensor = self.model.head(hidden).float()
        return logits[..., self._known]

    def step(self, tokens: Sequence[int], adapters: Sequence[str | None] = ()) -> Tensor:
        """Read one token of each row in use; logits of what comes next, float32 (rows in use, vocab).

        `adapters` has a name, or None, for each.
        """
        if self._static is not None:
            return self._step_statically(self._static, tokens, adapters)
        filled = [*tokens, *[0] * (self._fewest - len(tokens))]
        self._use(adapters, len(filled))
        ids = torch.tensor(filled, device=self.device)[:, None]  # (rows, 1)
        with torch.inference_mode(), in_mode(self.model):
            hidden = self.model.hidden(ids, self.cache)[:, -1]  # (rows, embed_dim)
            logits: Tensor = self.model.head(hidden).float()
        return logits[: len(tokens), self._known]

    def _step_statically(
        self, step: StaticStep, tokens: Sequence[int], adapters: Sequence[str | None]
    ) -> Tensor:
        """The same; what adapters do hangs on the rows that use them, so that it is not recorded."""
        self._use(adapters, self.rows)
        plain = all(name is None for name in adapters)
        with torch.inference_mode(), in_mode(self.model):
            return step(tokens, as_recorded=plain)[:, self._known]

    def _use(self, adapters: Sequence[str | None], rows: int) -> None:
        """Tell the adapters which of them each of so many rows uses, the last ones none."""
        if self._adapters is not None:
            none = [None] * (rows - len(adapters))
            self._adapters.use([*adapters, *none], self._fewest)
