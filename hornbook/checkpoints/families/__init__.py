"""Model families of the Hugging Face hub, each a file of two tables that are read both ways.

One table pairs the fields of a folder's config.json with those of `ModelConfig`, the other its
tensors' names with the model's. A family's file is named as `model_type` in config.json.

- `fields.py`: the kinds of rows that a table of fields is made of; `rope.py` and `layers.py`: the
  rows for rotary positions and for what changes from layer to layer.
- `weights.py`: a row of the table of tensors.
- `family.py`: the two tables together, and what they can do.
- `known.py`: all families by name, and why some others are refused.
"""
