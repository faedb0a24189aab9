"""What a run leaves for people to look at.

plots.py draws curves and matrices as SVG; page.py fills the report's one HTML page, which needs
nothing from elsewhere.
"""
