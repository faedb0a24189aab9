"""Settings under which every stage takes a second or less."""

TINY = (
    "world.stories=400",
    "world.labelled=120",
    "world.instructions=240",
    "tokenizer.vocab_size=400",
    "model.preset=nano",
    "model.embed_dim=32",
    "model.n_layers=2",
    "model.context_length=128",
    "training.steps=6",
    "training.batch_size=4",
    "training.eval_sequences=4",
    "classification.training.steps=4",
    "instruction.training.steps=4",
    "classification.lora_training.steps=3",
    "instruction.lora_training.steps=3",
    "instruction.questions=16",
    "instruction.training.batch_size=8",
    "runtime.precision=float32",
)
