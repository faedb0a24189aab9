"""Stages 3-5: the transformer, composed of small modules, each of which can be read alone.

config             what a model is made of: its sizes and the kind of each part
presets            named models: GPT-2's four, small ones for a CPU, a modern one
embedding          token ids to vectors, learned positions
rotary             positions as turns of queries and keys, stretched for longer texts
naive_attention    attention step by step, as in a textbook
attention          the attention that the model uses
documents          several texts in a row of tokens, each read as if it stood alone
norm, feedforward  the other parts of a block, mixtures of experts among them
vocabulary         room for new tokens in a model that is trained already
kv_cache           keys and values of tokens already read
rows_cache         those of texts of different lengths, side by side
mode               training or not, for a while
transformer        the block, and the whole model
"""
