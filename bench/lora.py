"""Training a LoRA adapter on a CPU: Hornbook beside `peft` on `transformers`.

    python bench/lora.py [--rounds 3] [--dtypes float32 bfloat16] [--few-bits]

Rank 16 on every linear layer of the blocks of GPT-2 124M (random weights, nothing to download), 4 x 128
tokens a step, loss on every token. Contestants run in turn, each in processes of its own; what is told
are medians, with the most memory that a process has held. "peft-autocast" keeps the frozen weights in
float32 and rounds in each step. With --few-bits Hornbook is also measured with its frozen base in 8 and 4
bits (lora.base).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).with_name("lora_step.py")
TOKENS = 4 * 128


def measure(contestant: str, dtype: str) -> dict[str, Any]:
    """Seconds of the median step, peak memory and trained parameters of one process."""
    done = subprocess.run(
        [sys.executable, str(WORKER), contestant, dtype],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{contestant} {dtype} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--few-bits", action="store_true")
    given = parser.parse_args()
    for dtype in given.dtypes:
        contestants = ["hornbook", "peft", *(["peft-autocast"] if dtype == "bfloat16" else [])]
        contestants += ["hornbook-int8", "hornbook-nf4"] if given.few_bits else []
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
        for _ in range(given.rounds):
            for name in contestants:
                found[name].append(measure(name, dtype))
        middle = {n: statistics.median(m["seconds"] for m in ms) for n, ms in found.items()}
        for name, measured in found.items():
            every = ", ".join(f"{m['seconds']:.2f}" for m in measured)
            print(
                f"{dtype:<9} {name:<14} {middle[name]:.3f} s a step [{every}], "
                f"{TOKENS / middle[name]:,.0f} tokens/s, "
                f"peak {max(m['peak_mib'] for m in measured):,} MiB, "
                f"{measured[0]['trained']:,} trained",
                flush=True,
            )
        for name in contestants[1:]:
            print(f"{dtype:<9} {name} / hornbook: {middle[name] / middle['hornbook']:.2f}")


if __name__ == "__main__":
    main()
