"""Stage 2, sampling: token ids in, batches of inputs and targets out.

token_store  the token ids of a corpus on disk, memory-mapped
windows      pieces of one length from the stream of tokens: pre-training
dataset      what the loader draws from; examples of many lengths: finetuning
loader       batches in an order that hangs on seed, epoch and index alone
batch        the one shape in which every objective reaches the training loop
show         what the model will see, on a terminal
"""
