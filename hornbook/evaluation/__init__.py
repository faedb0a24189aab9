"""Stage 8: how good a model is, in numbers with their uncertainty.

- `perplexity`: how well a model predicts a text, with a sliding window.
- `text_losses`: the loss of each of many texts, or examples, in batches.
- `memorization`: secrets planted in training text, and passages of it, that a model knows by heart.
- `poisoning`: training examples that look planted; `backdoor`: words that turn a classifier.
- `classification_report`: accuracy, precision, recall, F1, confusions and the most wrong examples
  of a classifier, beside simple baselines.
- `answers`: how many answers are right, by category.
- `answer_metrics`: answers by ROUGE, BLEU, JSON validity too, with intervals by category.
- `intervals`: bootstrap intervals and paired tests; `f1`: those of a classifier's F1.
- `endpoint`, `judge`: a language model behind an API that grades answers.
- `harness`, `benchmarks`: the tasks of the lm-evaluation-harness, and local files of their forms.
- `code_puzzles`, `sandbox`, `sandbox_worker`: HumanEval, its programs run with limits.
- `stopping`: where a text that was written ends.
- `proportion`: the confidence interval that both state.

The loss of a set of batches is in `training.evaluation`, since training needs it.
"""
