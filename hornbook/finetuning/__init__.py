"""Stage 7: a pre-trained model made to do a task.

- `lora`: train two thin matrices beside each large one; merge them in and out.
- `adapter`: such matrices saved and loaded without the base model.
- `peft_folder`: the same in the form of the `peft` library, both ways; `gguf_adapter`: for llama.cpp;
  `joined`: the layers as a family has them.
- `classification`: a head of one output per class, read at the last real token.
- `conversations`: Alpaca's, ShareGPT's and OpenAI's data sets, read and checked.
- `instruction`: conversations as examples whose loss is on the answers alone.
- `pairs`: chosen and rejected answers, read and checked.
- `preference`: DPO, SimPO and ORPO on such pairs.
- `neftune`: noise on the embeddings while training.
- `lengths`: what became of examples too long for the model.

Each only prepares the model and makes examples (and, for pairs, says what their loss is); the one training
loop does the rest.
"""
