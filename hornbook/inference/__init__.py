"""Stage 8: the trained model writes.

logits     which token may come next, and how likely: filters on the model's scores
generate   token after token with a key-value cache, one text or many at once
int8       weights in eight bits
text       the same, from text to text
"""
