"""Weights that others wrote, read without running anything of theirs.

- `tensors.py`: safetensors, one file or many, one tensor at a time and one shard open at a time.
"""
