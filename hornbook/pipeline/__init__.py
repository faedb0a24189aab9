"""The stages joined together: what a run does, from text to report, and what is done with its models.

recipe.py gathers every part's settings; workspace.py keys each stage by its settings and inputs, so that
a second run does only what changed, and verify.py computes the hashes anew; context.py is what the stages
of one run share; summary.py lays their results out for the report.

- models: a trained model opened for use, exported, merged, inspected, compared with transformers
- corpora: text read, cleaned and split by all cores, then made into token ids
- pretraining: the one training loop driven, watched and resumed; what it will take; runs side by side
- measuring: models on data of the user's, benchmarks, a judge, audits of what they should not know
- tuning: classifiers, followers of instructions, preferences

Each imports only from those above it.
"""
