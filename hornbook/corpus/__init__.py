"""Stage 0, corpus: text in, as documents and as examples.

document  what a corpus is made of
compression  files as bytes, plain or unpacked
files     files as text and as JSON, with a clear sentence about anything wrong
formats   documents of HTML, JSONL, CSV and TSV files
plain     documents of text files
columns   documents of parquet files and Hugging Face datasets
quarantine  what is bad, set aside and counted
readers   documents of files, folders, patterns, a pipe, a dataset by name
units     a corpus in pieces that are read by themselves
fingerprints  what documents are compared by, worked out where they are read
step      what the steps that clean a corpus have in common
quality/  what is not worth learning from: filters of Gopher, C4 and FineWeb, languages, Unicode
parallel  documents worked on in batches by several processes
privacy/  personal data and secrets, replaced or dropped
deduplication  documents and paragraphs that come again, removed
near      near duplicates, by ngrams, signatures (MinHash) and a band_index
decontamination  evaluation sets kept out of the training text
split     which documents are trained on, and which are kept to measure on
tables    labelled and instruction examples from CSV, TSV, JSON and JSONL
world/    the sample world: stories, labels and questions made from a seed
"""
