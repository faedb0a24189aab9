"""Stage 8: the trained model writes.

logits     which token may come next, and how likely: filters on the model's scores
settings   how a text is written
sampler    the next token of one text, by its own settings and random numbers
int8       weights in eight bits
weights    as narrow as writing is quickest with
decoder    runs the model: reads prompts, then one token of each text in a step
static_step, cuda_graph  a step that does the same to the same memory, recorded on a GPU
batch      texts written side by side, joining and leaving between steps
generate   one text or many, token after token
text       the same, from text to text
"""
