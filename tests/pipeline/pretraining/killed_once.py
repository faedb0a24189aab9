"""`hornbook`, in which process 1 is killed after a step unless torchrun has restarted it."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import hornbook.pipeline.pretraining.fit as fit
from hornbook.cli import main
from hornbook.training.loop import Step, train_steps

KILLED_AFTER = 9


def steps_and_a_kill(*arguments: Any) -> Iterator[Step]:
    for step in train_steps(*arguments):
        first_time = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first_time and os.environ["RANK"] == "1" and step.index == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        yield step


fit.train_steps = steps_and_a_kill

if __name__ == "__main__":
    main()
