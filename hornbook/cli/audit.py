"""The verbs that look for what a training should not have left in a model."""

from hornbook.cli.arguments import RecipeArguments, recipe_from


def memorization(arguments: RecipeArguments = None) -> None:
    """What is learnt by heart: secrets planted in the corpus, small models trained on it and asked."""
    from hornbook.run import audit_memorization

    audit_memorization(recipe_from(arguments))
