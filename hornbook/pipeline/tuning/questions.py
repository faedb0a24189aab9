"""A handful of held-out questions, asked and answered on the terminal."""

from rich.text import Text

from hornbook.console import console, visible
from hornbook.evaluation.answers import Answer
from hornbook.finetuning.conversations import Conversation
from hornbook.inference.generate import GenerationSettings
from hornbook.pipeline.context import Context
from hornbook.pipeline.models.bundle import Bundle
from hornbook.pipeline.tuning.followers import instruction_splits

HANDFUL = 8


def ask_some(context: Context, bundle: Bundle) -> list[Answer]:
    """Ask one held-out question of each category (or just a few), printing answers as they come."""
    settings = GenerationSettings(max_new_tokens=64, temperature=0)
    console.print(f"\n[bold]{bundle.path.name} answers held-out questions:[/]")
    asked = []
    for conversation in _one_of_each(context):
        console.print()
        for message in conversation.asked:
            if message.input:
                console.print(Text(f"  {visible(message.input)}", style="dim"))
            style = "bold" if message.role == "user" else "dim"
            console.print(Text(f"  {visible(message.content)}", style=style))
        console.print("  > ", end="", style="cyan")
        given = ""
        for piece in bundle.answer(conversation.asked, settings):
            given += piece
            console.print(Text(visible(piece)), end="")
        expected = conversation.answer
        answer = Answer(conversation.category, conversation.question, expected, given.strip())
        verdict = Text("  right" if answer.right else f"  (right: {visible(expected)})")
        verdict.stylize("green" if answer.right else "red")
        console.print(verdict)
        asked.append(answer)
    return asked


def _one_of_each(context: Context) -> list[Conversation]:
    splits = instruction_splits(context)
    held_out = splits.test or splits.validation or splits.train
    # The last of the test set are beyond those that were counted, where it is large enough.
    of_each = {example.category: example for example in held_out}
    chosen = list(of_each.values()) if len(of_each) > 1 else list(reversed(held_out))
    return chosen[:HANDFUL]
