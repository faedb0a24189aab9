"""The plots, one module a genre, each with `tell(world)` that tells a whole story."""
