"""`hornbook`, in which process 0 sends torchrun SIGTERM after a step, as a cluster does at its end."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import hornbook.pipeline.pretraining.fit as fit
from hornbook.cli import main
from hornbook.training.loop import Step, train_steps

AFTER = int(sys.argv.pop(1))


def steps_and_a_signal(*arguments: Any) -> Iterator[Step]:
    for step in train_steps(*arguments):
        if os.environ["RANK"] == "0" and step.index == AFTER:
            handler = signal.getsignal(signal.SIGTERM)
            os.kill(os.getppid(), signal.SIGTERM)
            while signal.getsignal(signal.SIGTERM) is handler:  # torchrun has not passed it on yet
                time.sleep(0.01)
        yield step


fit.train_steps = steps_and_a_signal

if __name__ == "__main__":
    main()
