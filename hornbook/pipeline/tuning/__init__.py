"""Stage 7 of a run.

finetune.py has what every fine-tuning has in common, each a stage done once; classifiers.py, followers.py
and preferences.py are its tasks. preview.py shows what a model will see of conversations, questions.py
asks a follower a few.
"""
