"""All that is claimed of training on one GPU, measured in one go.

    python bench/gpu.py --nanogpt DIR [--text FILE] [--only step loss ...] [--out gpu.json]

DIR is a checkout of https://github.com/karpathy/nanoGPT; without it only Hornbook is measured. Each part
runs in a process of its own, so that a part that fails leaves the others be:

    selftest   nine operations on the device beside the CPU's float32
    step       GPT-2 124M, context 1024: tokens a second and MFU, beside nanoGPT's in turn
    fp8        the same with training.fp8, and what that costs in loss
    waits      how often the host waits for the GPU in a step
    exact      a training that is saved and resumed, with deterministic kernels: bit for bit?
    loss       nanoGPT's validation loss after some tokens, and Hornbook's after half as many
    write      tokens a second of GPT-2 124M, one text and sixteen, with and without a CUDA graph

FILE is a text of some megabytes for the losses; without it the sample world's stories are taken. What
was found is printed and written to a JSON file. `--tiny` runs it all with tiny models on any device, to
try the program, not the speed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PARTS = Path(__file__).with_name("gpu_parts.py")
NAMES = ("selftest", "step", "fp8", "waits", "exact", "loss", "write")
PATIENCE_S = 1500


def run(part: str, options: list[str]) -> dict[str, Any]:
    """What a part has found, or {"failed": why}."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "found.json"
        command = [sys.executable, str(PARTS), part, str(out), *options]
        try:
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return {"failed": f"took longer than {PATIENCE_S} s"}
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            return {"failed": lines[-1]}
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--text", type=Path, help="a text file for the losses")
    parser.add_argument("--rows", type=int, default=16, help="sequences of 1,024 tokens a step")
    parser.add_argument("--tokens", type=int, default=32_000_000, help="that nanoGPT reads")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="try the program with tiny models")
    given = parser.parse_args()
    options = [f"--rows={given.rows}", f"--tokens={given.tokens}"]
    options += [f"--nanogpt={given.nanogpt}"] if given.nanogpt else []
    options += [f"--text={given.text}"] if given.text else []
    options += ["--tiny"] if given.tiny else []
    everything: dict[str, Any] = {}
    for part in given.only:
        print(f"== {part}", flush=True)
        everything[part] = run(part, options)
        print(json.dumps(everything[part], indent=2), flush=True)
        given.out.write_text(json.dumps(everything, indent=2) + "\n")
    failed = [part for part, found in everything.items() if "failed" in found]
    if failed:
        print(f"failed: {', '.join(failed)}; the rest stands in {given.out}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
