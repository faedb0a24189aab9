"""Stage 2, sampling: token ids in, batches of inputs and targets out.

token_store  the token ids of a corpus on disk, memory-mapped
token_writer writing it, in shards, from where it was interrupted
shards       several files read as one array
windows      pieces of one length from the stream of tokens: pre-training
dataset      what the loader draws from; examples of many lengths: finetuning
packing      short texts side by side in rows of one length, each read by itself
mixture      several datasets, each drawn as often as its weight says
loader       batches in an order that hangs on seed, epoch and index alone
batch        the one shape in which every objective reaches the training loop
token_mask   some tokens never trained, so that no passage is learnt by heart
prefetch     batches made ahead of a GPU
show         what the model will see, on a terminal
"""
