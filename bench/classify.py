"""Messages classified a second, from a loaded model, in float32 and in bfloat16, by one thread and two.

    python bench/classify.py MODEL FILE [--text-column text] [--rounds 3] [--threads 1 2]

FILE is a table or JSONL of texts, MODEL a classifier's folder. Each precision is measured in turn, round
by round; beside it stands by how much its probabilities differ from float32's, and how many texts get
another label.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from hornbook.pipeline.measuring.classify_file import classified, made_quick
from hornbook.pipeline.models.bundle import default_runtime, load_bundle

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    given = parser.parse_args()
    bundles: dict[str, Any] = {
        precision: made_quick(load_bundle(given.model, default_runtime()), precision)
        for precision in PRECISIONS
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for threads in given.threads:
        torch.set_num_threads(threads)
        rates: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        for _ in range(given.rounds):
            for precision, bundle in bundles.items():
                started = time.perf_counter()
                lines = list(classified(bundle, given.file, given.text_column))
                rates[precision].append(len(lines) / (time.perf_counter() - started))
                found[precision] = [json.loads(line) for line in lines]
        for precision, some in rates.items():
            every = ", ".join(f"{rate:,.0f}" for rate in some)
            middle = statistics.median(some)
            print(f"{precision}, {threads} threads: {middle:,.0f} texts/s, median of [{every}]")
    pairs = list(zip(*found.values(), strict=True))
    apart = max(
        abs(one["probabilities"][label] - other["probabilities"][label])
        for one, other in pairs
        for label in one["probabilities"]
    )
    changed = sum(one["predicted"] != other["predicted"] for one, other in pairs)
    print(f"{len(pairs):,} texts; bfloat16 differs by {apart:.4f} at most, {changed} other labels")


if __name__ == "__main__":
    main()
