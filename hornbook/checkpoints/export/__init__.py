"""Models for other programs: nothing of Hornbook is needed to use what is written here.

- `vocabulary.py`: what is exported of a tokenizer.
- `huggingface.py`: a folder for `transformers` and all that reads its folders.
- `classifier.py`: what makes a classifier one of `transformers`' own.
- `gguf_file.py`: a file for llama.cpp, Ollama and LM Studio; `gguf_shapes.py`, `gguf_tensors.py`,
  `gguf_vocabulary.py` and `gguf_sentencepiece.py`: how a model and its tokenizer are described there.
"""
