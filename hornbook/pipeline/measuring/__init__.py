"""What a trained model is worth, and what it should not know.

measure.py has a model answer a task's data and classifier_scores.py lays out a classifier's figures;
evaluation.py is `hornbook evaluate`, benchmarking.py its benchmarks, judging.py the grading by another
model, classify_file.py the classes of a whole file; memorization.py and poison.py are the audits.
"""
