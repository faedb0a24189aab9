"""Stages 0 to 2 of a run.

sources.py says where text comes from; parts.py has it read and cleaned by several processes (on_ray.py by
a cluster, unpacking.py makes large compressed files ready for it), with the steps of cleaning.py and the
reference model of perplexity_filter.py; ending.py compares, judges (documents wait for it in waiting.py's
file) and writes, into the files of split_files.py, as lines.py has them; milestones.py notes how far it is,
and corpus.py puts all of it together. tokens.py makes the tokenizer and the ids, datasets.py
what a training draws from them. prepare.py shows what became of it all, datacard.py keeps it.
"""
