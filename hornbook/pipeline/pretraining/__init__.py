"""Stage 6 of a run, and the loop that every training goes through.

starting.py has the weights to begin with, task.py says what is trained and what came of it; fit.py drives
the one training loop, with evaluation, checkpoints, recorder.py's metrics, history.py's curves,
micro_batch.py's size, and, when something goes wrong, resuming.py and incidents.py; pretrain.py is the
stage. amounts.py and estimate.py say what a run will take, find_lr.py with which learning rate, compare.py
how runs came out beside each other.
"""
