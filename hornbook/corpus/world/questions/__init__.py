"""Questions with one right answer, one module for a few kinds of them.

Each maker takes a fresh `World`, tells it a short scene, and returns a `Question`; the answer comes
from the state of the world.
"""
