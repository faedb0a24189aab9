"""The stages joined together.

recipe.py gathers every part's settings; workspace.py keys each stage by its settings and inputs,
so that a second run does only what changed; parts.py has a corpus read by several processes, on_ray.py
by a cluster, unpacking.py makes large compressed files ready for it, split_files.py writes what is left
and milestones.py notes how far it is; finetune.py does the same for a fine-tuning, of which
classifiers.py and followers.py are the two tasks; fit.py drives the one training loop with evaluation,
checkpoints and recorder.py's metrics; then one module per stage. amounts.py and estimate.py say
what a run will take, find_lr.py with which learning rate, compare.py how runs came out beside each
other; history.py draws the curves. bundle.py opens a trained model for use, with foreign.py those of
others, which starting.py lets a run start from; adapted.py puts adapters on one that is open,
writing.py opens one to write, ways.py has beam search and guessing ahead; parity.py compares one with transformers;
exporting.py writes one for other programs, with modelcard.py's card, and merging.py one into which
adapters are folded.
memorization.py and poison.py audit what a training has left in a model, and perplexity_filter.py
lets one choose documents.
"""
