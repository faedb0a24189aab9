"""Training on a CPU: Hornbook beside nanoGPT and beside the first training script of a well-known book.

    python bench/train.py loss  --nanogpt DIR --data DIR    time to nanoGPT's final loss, letters
    python bench/train.py step  --nanogpt DIR               a step of GPT-2 124M, 4 x 256 tokens
    python bench/train.py story --script FILE --data DIR    124M, ten epochs over a short story

`--nanogpt` is a checkout of https://github.com/karpathy/nanoGPT with its shakespeare_char data
prepared; `--script` a program that trains the book's 124M model (github.com/rasbt/LLMs-from-scratch,
ch05/01_main-chapter-code/gpt_train.py); `--data` a folder with tinyshakespeare.txt, or the-verdict.txt
and GPT-2's vocab.bpe and encoder.json. Contestants run in turn, each in processes of its own, one after
the other, `--rounds` times; what is told are medians, and all times in brackets.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).with_name("train_step.py")
NANOGPT_CPU = [
    "config/train_shakespeare_char.py",
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=1",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
]
"""nanoGPT's documented settings for a computer without a GPU."""


def run(command: Sequence[str], folder: Path, **environment: str) -> tuple[float, str]:
    """Seconds that a whole process takes, from a cold start, and what it prints."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def tell(name: str, seconds: Iterable[float], more: str = "") -> float:
    """Print a contestant's median; give it."""
    found = list(seconds)
    middle = statistics.median(found)
    every = ", ".join(f"{one:.2f}" for one in found)
    print(f"{name:<28} {middle:8.2f} s  [{every}]  {more}", flush=True)
    return middle


def hornbook_run(recipe: str, data: Path) -> tuple[float, dict[str, object]]:
    """A whole `hornbook pretrain`, from text to report, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(data.resolve())
        seconds, _ = run(
            ["-m", "hornbook", "pretrain", str(ROOT / "recipes" / f"{recipe}.toml")],
            folder,
            PYTHONPATH=str(ROOT),
        )
        results = (folder / "runs" / recipe / "pretrain" / "results.json").read_text("utf-8")
    return seconds, json.loads(results)


def in_turn(rounds: int, contestants: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each contestant's times, taken round by round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(contestant())
    return times


def time_to_loss(given: argparse.Namespace) -> None:
    losses: dict[str, str] = {}

    def nanogpt() -> float:
        seconds, printed = run(["train.py", *NANOGPT_CPU], given.nanogpt)
        losses["nanoGPT"] = f"val loss {re.findall(r'val loss ([0-9.]+)', printed)[-1]} (sampled)"
        return seconds

    def hornbook() -> float:
        seconds, results = hornbook_run("tinyshakespeare-chars", given.data)
        held_out = results["held_out"]
        assert isinstance(held_out, dict)
        losses["Hornbook"] = (
            f"val loss {held_out['loss']['value']:.4f} (whole split, {held_out['tokens']:,} letters)"
        )
        return seconds

    times = in_turn(given.rounds, {"nanoGPT": nanogpt, "Hornbook": hornbook})
    middle = {name: tell(name, found, losses[name]) for name, found in times.items()}
    print(f"nanoGPT / Hornbook: {middle['nanoGPT'] / middle['Hornbook']:.1f}")


def step_of_124m(given: argparse.Namespace) -> None:
    peaks: dict[str, str] = {}

    def contestant(name: str, *arguments: str) -> Callable[[], float]:
        def measure() -> float:
            _, printed = run([str(WORKER), *arguments], ROOT, PYTHONPATH=str(ROOT))
            found = json.loads(printed.splitlines()[-1])
            peaks[name] = f"peak memory {found['peak_mib']:,} MiB"
            return float(found["seconds"])

        return measure

    checkout = str(given.nanogpt)
    modes = ("float32", "bfloat16", "compiled")
    contestants = {
        f"nanoGPT {mode}": contestant(f"nanoGPT {mode}", mode, checkout) for mode in modes
    }
    contestants["Hornbook"] = contestant("Hornbook", "hornbook")
    times = in_turn(given.rounds, contestants)
    middle = {name: tell(name, found, peaks[name]) for name, found in times.items()}
    for mode in modes:
        ratio = middle[f"nanoGPT {mode}"] / middle["Hornbook"]
        print(f"nanoGPT {mode} / Hornbook: {ratio:.2f}")


def short_story(given: argparse.Namespace) -> None:
    losses: dict[str, str] = {}

    def script() -> float:
        seconds, printed = run([given.script.name], given.script.parent)
        last = re.findall(r"Train loss ([0-9.]+), Val loss ([0-9.]+)", printed)
        best = min(float(validation) for _, validation in last)
        losses["the script"] = f"train {last[-1][0]}, val {last[-1][1]}, best val {best:.3f}"
        return seconds

    def hornbook(recipe: str) -> float:
        seconds, results = hornbook_run(recipe, given.data)
        losses[recipe] = (
            f"val {results['validation_loss']['value']:.3f}, steps alone {results['training_seconds']} s"
        )
        return seconds

    recipes = ("the-verdict", "the-verdict-small")
    contestants = {name: (lambda name=name: hornbook(name)) for name in recipes}
    times = in_turn(given.rounds, {"the script": script, **contestants})
    middle = {name: tell(name, found, losses[name]) for name, found in times.items()}
    print(f"the script / Hornbook: {middle['the script'] / middle['the-verdict']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    for name, verb, needed in (
        ("loss", time_to_loss, ("nanogpt", "data")),
        ("step", step_of_124m, ("nanogpt",)),
        ("story", short_story, ("script", "data")),
    ):
        one = verbs.add_parser(name)
        one.set_defaults(verb=verb)
        one.add_argument("--rounds", type=int, default=1 if name == "story" else 3)
        for option in needed:
            one.add_argument(f"--{option}", type=Path, required=True)
    given = parser.parse_args()
    given.verb(given)


if __name__ == "__main__":
    main()
