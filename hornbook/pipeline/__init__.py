"""The stages joined together.

recipe.py gathers every part's settings; workspace.py keys each stage by its settings and inputs,
so that a second run does only what changed; fit.py drives the one training loop with evaluation,
checkpoints and metrics; then one module per stage. bundle.py opens a trained model for use.
"""
