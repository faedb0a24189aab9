"""Stage 6: training. One loop for pre-training, classification and instruction tuning.

- `settings.py`: the few numbers that a run is made of.
- `schedule.py`: how many steps that makes, and the learning rate at each (`plan_training`).
- `objective.py`: the loss of a batch, summed over its trained positions; `chunks.py`: without holding
  all logits at once; `head_loss.py`: its gradient by hand, for a cache or a compiler.
- `balance.py`: the loss by which a mixture's experts share their work.
- `muon.py`, `adamw.py`, `optimizer.py`: Muon for the blocks' matrices, AdamW for the rest, as one.
- `loop.py`: `train_steps`, the generator of steps that the caller drives.
- `parallel.py`: what a training asks of the processes it is spread over; `distributed.py`: DDP, FSDP2
  and tensor parallelism; `strategy.py`: which of them; `tensor_cuts.py`: how a block's layers are cut;
  `shards.py`: tensors of which each process holds a part; `fresh.py`: first weights where no process
  has room for all.
- `evaluation.py`: loss, perplexity and bits per byte on data held out.
- `metrics.py`: the run's curve, one JSON line at a time; `trackers.py`: TensorBoard, W&B, Trackio.
- `flops.py`: what a token costs, what the device can do, and the share of it that is used (MFU).
- `memory_needs.py`, `process_memory.py`: what memory it will take, of its tensors and in all.
- `lr_finder.py`, `rehearsal.py`: which learning rate, how long and how much, before it starts.
"""
