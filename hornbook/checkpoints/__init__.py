"""Checkpoints: a model and all that is needed to go on training it, in one verified directory.

- `store.py`: write one, read the model back, read the training state back.
- `folder.py`: a run's checkpoints: the newest whole one, the best, and how many are kept.
- `saver.py`: writes them while training goes on.
- `sharded.py`: writes and reads those of several processes together; `shards.py`: the files.
- `random_state.py`: where the random numbers of each process stood.
- `pickles.py`: what is refused before it is read.
- `loading/`: weights that others wrote.
"""
