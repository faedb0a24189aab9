"""Stage 7: a pre-trained model made to do a task.

- `lora`: train two thin matrices beside each large one; merge them in and out.
- `frozen`: products with weights that are not trained, made fast; `quantized`: such weights in 8 or 4
  bits; `keeping`: which of it a training takes.
- `adapter`: such matrices saved and loaded without the base model; `merging`: several added up;
  `bank`: several on one base, each row of a batch with its own.
- `peft_folder`: the same in the form of the `peft` library, both ways; `gguf_adapter`: for llama.cpp;
  `joined`: the layers as a family has them.
- `classification`: a head of one output per class; `pooling`: what it reads of a text; `criteria`: its
  loss where classes weigh differently, or a text can be of several.
- `conversations`: Alpaca's, ShareGPT's and OpenAI's data sets, read and checked.
- `instruction`: conversations as examples whose loss is on the answers alone.
- `pairs`: chosen and rejected answers, read and checked.
- `preference`: DPO, SimPO and ORPO on such pairs.
- `neftune`: noise on the embeddings while training.
- `lengths`: what became of examples too long for the model.

Each only prepares the model and makes examples (and, for pairs, says what their loss is); the one training
loop does the rest.
"""
