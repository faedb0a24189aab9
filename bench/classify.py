"""Messages classified a second, from the command's start to its end and from a loaded model.

    python bench/classify.py MODEL FILE [--text-column text] [--rounds 3]

FILE is a table or JSONL of texts, MODEL a classifier's folder.
"""

import argparse
import statistics
import time
from pathlib import Path

from hornbook.pipeline.bundle import default_runtime, load_bundle
from hornbook.pipeline.classify_file import classified


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    bundle = load_bundle(given.model, default_runtime())
    rates = []
    for _ in range(given.rounds):
        started = time.perf_counter()
        count = sum(1 for _ in classified(bundle, given.file, given.text_column))
        rates.append(count / (time.perf_counter() - started))
    every = ", ".join(f"{rate:,.0f}" for rate in rates)
    print(f"{statistics.median(rates):,.0f} texts/s, median of [{every}], {count:,} texts a round")


if __name__ == "__main__":
    main()
