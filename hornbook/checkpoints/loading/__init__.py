"""Weights that others wrote, read without running anything of theirs.

- `folders.py`: a model from a folder, through the two tables of its family.
- `tensors.py`: safetensors, one file or many, one tensor at a time and one shard open at a time.
- `text_part.py`: the text model of a folder whose model reads images too.
- `tensorflow.py`: OpenAI's GPT-2 as it was published.
- `hub.py`: models on the Hugging Face hub.
- `extras.py`: libraries that only some of this needs.
"""
