"""Stage 1: text to token ids and back.

tokenizer.py   the Tokenizer: train, load, save, encode, decode
settings.py    its settings
special.py     special tokens, and the well-known names of other people's
trainers.py    training the four algorithms: word, BPE, WordPiece, Unigram
quick_bpe.py   BPE by rustbpe, where it learns what the tokenizers library would
foreign.py     reading GPT-2's files and a Hugging Face tokenizer.json
guard.py       why text that spells a special token never becomes it
library.py     the one door to the `tokenizers` library
encoder.py     much text at once, by fastokens where it is exact
decoding.py    ids to text, whole or piece by piece
words.py       where spaces go between words and punctuation
streaming.py   text of ids that arrive one by one
templates.py   conversations as ids: Alpaca, Phi-3, ChatML, Llama 3 and Hornbook's own
own_template.py  the chat template (Jinja) that a tokenizer brings along, rendered by jinja_worker.py
jinja_templates.py  those of templates.py in Jinja and Go, for other programs
statistics.py  how well a tokenizer fits a text
"""
