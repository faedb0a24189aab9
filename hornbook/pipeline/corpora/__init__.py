"""Stages 0 to 2 of a run.

sources.py says where text comes from; parts.py has it read and cleaned by several processes (on_ray.py by
a cluster, unpacking.py makes large compressed files ready for it), with the steps of cleaning.py and the
reference model of perplexity_filter.py; corpus.py splits it, split_files.py writes the splits as lines.py
has them, and milestones.py notes how far it is. tokens.py makes the tokenizer and the ids, datasets.py
what a training draws from them. prepare.py shows what became of it all, datacard.py keeps it.
"""
