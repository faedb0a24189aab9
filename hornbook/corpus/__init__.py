"""Stage 0, corpus: text in, as documents and as examples.

document  what a corpus is made of
files     files as text and as JSON, with a clear sentence about anything wrong
readers   documents from text and JSONL files
split     which documents are trained on, and which are kept to measure on
tables    labelled and instruction examples from CSV, TSV, JSON and JSONL
world/    the sample world: stories, labels and questions made from a seed
"""
