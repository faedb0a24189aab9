"""Stage 8: how good a model is, in numbers with their uncertainty.

- `classification_report`: accuracy, precision, recall, F1, confusions and the most wrong examples
  of a classifier, beside simple baselines.
- `answers`: how many answers are right, by category.
- `proportion`: the confidence interval that both state.

Loss, perplexity and bits per byte are in `training.evaluation`, since training needs them.
"""
