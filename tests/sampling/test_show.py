"""What the model will see can be read on a terminal, with colours and without."""

import numpy as np
from rich.console import Console

from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.sampling.packing import PackedExamples
from hornbook.sampling.show import Measured, share_trained, show_windows
from hornbook.sampling.windows import Windows


class Letters:
    def token_text(self, token_id: int) -> str:
        return {0: "\n", 1: "\x1b[2J", 2: "[bold]"}.get(token_id, chr(ord("a") + token_id % 26))


def shown(dataset: Measured, *indices: int, colour: bool = False, **options: object) -> str:
    console = Console(width=100, force_terminal=colour, no_color=not colour, legacy_windows=False)
    with console.capture() as capture:
        console.print(show_windows(Letters(), dataset, indices, **options))  # type: ignore[arg-type]
    return capture.get()


def test_windows_read_without_colours() -> None:
    lines = shown(Windows(np.arange(3, 16), max_length=4), 2).splitlines()
    assert lines[0].split(" · ") == [
        "3 windows (max_length 4, stride 4)",
        "12 tokens an epoch",
        "100.0% of positions trained",
    ]
    assert "* trained" in lines[1]
    assert [line.split() for line in lines[3:]] == [
        ["window", "3", "of", "3:", "4", "tokens,", "4", "trained"],
        ["reads", "l│m│n│o"],
        ["learns", "m│n│o│p"],
        ["position", "id", "reads", "target", "id"],
        ["0", "11", "l", "→", "*", "m", "12"],
        ["1", "12", "m", "→", "*", "n", "13"],
        ["2", "13", "n", "→", "*", "o", "14"],
        ["3", "14", "o", "→", "*", "p", "15"],
    ]


def test_masked_positions_are_told_from_trained_ones_and_padding_is_not_shown() -> None:
    examples = Examples([([3, 4, 5], [IGNORE, IGNORE, 6]), ([3], [4])], pad_id=9)
    text = shown(examples, 0)
    assert "[2 masked]│g" in text
    assert [line.split() for line in text.splitlines()][-3:] == [
        ["0", "3", "d", "masked"],
        ["1", "4", "e", "masked"],
        ["2", "5", "f", "→", "*", "g", "6"],
    ]
    assert share_trained(examples) == 0.5


def test_trained_targets_are_green_and_masked_ones_dim() -> None:
    text = shown(Examples([([3, 4], [IGNORE, 5])], pad_id=9), 0, colour=True)
    assert "\x1b[1;32mf" in text
    assert "\x1b[2mmasked" in text
    assert "\x1b[36md\x1b[0m" in text
    assert "\x1b[35me\x1b[0m" in text


def test_a_long_sample_shows_its_ends_and_where_training_begins() -> None:
    targets = [IGNORE] * 60 + [5] * 40
    text = shown(Examples([([3] * 100, targets)], pad_id=9), 0, rows=8)
    first = [line.split()[0] for line in text.splitlines() if line]
    assert first[first.index("position") + 1 :] == [
        "0", "1", "…", "59", "60", "61", "62", "…", "98", "99",
    ]  # fmt: skip


def test_text_of_tokens_is_never_obeyed() -> None:
    text = shown(Windows(np.array([0, 1, 2, 3]), max_length=3), 0)
    assert "⏎│\\x1b[2J│[bold]" in text
    assert "\x1b[2J" not in text


def test_the_borders_of_packed_documents_are_shown() -> None:
    pairs = [([3, 4, 5], [IGNORE, 5, 6]), ([7, 8], [IGNORE, 9])]
    text = shown(PackedExamples(Examples(pairs, pad_id=9), 6), 0)
    assert "max_length 6, 2 pieces packed by best-fit, 83.3% not padding" in text
    lines = text[text.index("window 1 of 1") :].splitlines()
    assert lines[0] == "window 1 of 1: 5 tokens, 3 trained, 2 documents between ║"
    assert [line.split(maxsplit=1) for line in lines[1:3]] == [
        ["reads", "d│e│f║h│i"],
        ["learns", "[1 masked]│f│g║[1 masked]│j"],
    ]
    assert [line.split() for line in lines[-3:]] == [
        ["2", "5", "f", "→", "*", "g", "6"],
        ["║", "3", "7", "h", "masked"],
        ["4", "8", "i", "→", "*", "j", "9"],
    ]


def test_targets_may_be_classes() -> None:
    examples = Examples([([3, 4], [IGNORE, 1])], pad_id=9)
    assert "spam" in shown(examples, 0, target_text=["ham", "spam"].__getitem__)
