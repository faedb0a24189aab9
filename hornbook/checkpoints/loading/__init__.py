"""Weights that others wrote, read without running anything of theirs.

- `folders.py`: a model from a folder, through the two tables of its family.
- `tensors.py`: safetensors, one file or many, one tensor at a time and one shard open at a time.
"""
