"""A handful of held-out questions, asked and answered on the terminal."""

from dataclasses import dataclass

from rich.text import Text

from hornbook.console import console
from hornbook.corpus.tables import Instruction
from hornbook.evaluation.answers import normalize
from hornbook.inference.generate import GenerationSettings
from hornbook.pipeline.bundle import Bundle
from hornbook.pipeline.context import Context
from hornbook.pipeline.followers import instruction_splits
from hornbook.tokenizing.templates import messages_of

HANDFUL = 8


@dataclass(frozen=True)
class Asked:
    """One question with the right answer and the model's."""

    question: Instruction
    given: str

    @property
    def right(self) -> bool:
        """Whether both answers say the same."""
        return normalize(self.given) == normalize(self.question.output)


def ask_some(context: Context, bundle: Bundle) -> list[Asked]:
    """Ask one held-out question of each category (or just a few), printing answers as they come."""
    settings = GenerationSettings(max_new_tokens=64, temperature=0)
    console.print(f"\n[bold]{bundle.path.name} answers held-out questions:[/]")
    asked = []
    for question in _one_of_each(context):
        console.print()
        if question.input:
            console.print(Text(f"  {question.input}", style="dim"))
        console.print(Text(f"  {question.instruction}", style="bold"))
        console.print("  > ", end="", style="cyan")
        given = ""
        for piece in bundle.answer(messages_of(question.instruction, question.input), settings):
            given += piece
            console.print(Text(piece), end="")
        result = Asked(question, given.strip())
        expected = Text("  right" if result.right else f"  (right: {question.output})")
        expected.stylize("green" if result.right else "red")
        console.print(expected)
        asked.append(result)
    return asked


def _one_of_each(context: Context) -> list[Instruction]:
    train, validation, test = instruction_splits(context)
    held_out = test or validation or train
    # The last of the test set are beyond those that were counted, where it is large enough.
    of_each = {example.category: example for example in held_out}
    chosen = list(of_each.values()) if len(of_each) > 1 else list(reversed(held_out))
    return chosen[:HANDFUL]
