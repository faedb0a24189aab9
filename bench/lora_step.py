"""One contestant of `bench/lora.py`, in a process of its own.

    python bench/lora_step.py hornbook|hornbook-int8|hornbook-nf4|peft|peft-autocast float32|bfloat16

Trains a rank-16 adapter on every linear layer of a block of GPT-2 124M (random weights, no dropout,
50,257 tokens) with AdamW on 4 x 128 random tokens, and prints the median step in seconds and the most
memory that the process has held, as JSON. "peft" holds the model in the dtype; "peft-autocast" holds
it in float32 and multiplies in the dtype. "hornbook-int8" and "hornbook-nf4" keep the frozen matrices of
the blocks in few bits.
"""

import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

VOCAB, ROWS, CONTEXT, RANK, ALPHA, LR = 50_257, 4, 128, 16, 32.0, 1e-3
STEPS, WARM_UP = 10, 2


def ids() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, int64 (ROWS, CONTEXT)."""
    drawn = torch.randint(VOCAB, (ROWS, CONTEXT + 1))
    return drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous()


def hornbook(dtype: str, form: str = "float") -> tuple[list[float], int]:
    """Seconds of each step, as `hornbook finetune` takes it; and how many numbers are trained."""
    from hornbook.finetuning.instruction import prepare_follower
    from hornbook.finetuning.keeping import keep_frozen
    from hornbook.finetuning.lora import LoRASettings
    from hornbook.model.presets import ModelSettings, resolve
    from hornbook.model.transformer import Transformer
    from hornbook.runtime import RuntimeSettings, choose_runtime
    from hornbook.sampling.batch import Batch
    from hornbook.training.loop import train_steps
    from hornbook.training.optimizer import Optimizer
    from hornbook.training.schedule import plan_training
    from hornbook.training.settings import AdapterSettings

    def batches() -> Iterator[Batch]:
        position = 0
        while True:
            position += 1
            yield Batch(*ids(), position)

    runtime = choose_runtime(RuntimeSettings(precision=dtype))  # type: ignore[arg-type]
    model = Transformer(resolve(ModelSettings(preset="gpt2-small"), VOCAB))
    prepare_follower(model, "lora", LoRASettings(rank=RANK, alpha=ALPHA))
    keep_frozen(model, form, runtime.dtype)  # type: ignore[arg-type]
    settings = AdapterSettings(steps=STEPS, batch_size=ROWS, lr=LR, schedule="constant")
    optimizer = Optimizer(model, settings, runtime.dtype)
    plan = plan_training(settings, batches_per_epoch=1000, tokens_per_batch=ROWS * CONTEXT)
    steps = train_steps(model, optimizer, batches(), settings, runtime, plan)
    return [step.seconds for step in steps], sum(p.numel() for p in optimizer.parameters)


def peft(dtype: str, autocast: bool) -> tuple[list[float], int]:
    """The same for a plain loop around `peft` on `transformers`."""
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    plain = GPT2LMHeadModel(shape)
    narrow = getattr(torch, dtype)
    if not autocast:
        plain = plain.to(narrow)
    targets = ["c_attn", "c_proj", "c_fc"]
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, fan_in_fan_out=True)
    model: Any = get_peft_model(plain, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, fused=True)
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        inputs, targets_ = ids()
        with torch.autocast("cpu", narrow) if autocast else contextlib.nullcontext():
            logits = model(input_ids=inputs, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), targets_.flatten()
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        seconds.append(time.perf_counter() - started)
    return seconds, sum(p.numel() for p in trained)


def main() -> None:
    torch.manual_seed(1)
    contestant, dtype = sys.argv[1:]
    if contestant.startswith("hornbook"):
        _, _, form = contestant.partition("-")
        seconds, trained = hornbook(dtype, form or "float")
    else:
        seconds, trained = peft(dtype, contestant == "peft-autocast")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"seconds": statistics.median(seconds[WARM_UP:]), "peak_mib": peak, "trained": trained}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
