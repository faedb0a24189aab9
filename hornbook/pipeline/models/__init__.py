"""Trained models in use.

bundle.py opens one with its tokenizer and its task, foreign.py those that others made; adapted.py puts
adapters on it; writing.py opens one to write, and ways.py has beam search and guessing ahead; inspection.py
says what one is made of; exporting.py writes one for other programs, with modelcard.py's card; merging.py
folds adapters in; extending.py adds tokens; parity.py compares one with transformers.
"""
