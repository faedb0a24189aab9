"""Hypothesis without a clock: machines differ, and the first example may load GPT-2's files."""

from hypothesis import settings

settings.register_profile("tokenizing", deadline=None, max_examples=50)
settings.load_profile("tokenizing")
