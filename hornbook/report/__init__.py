"""What a run leaves for people to look at.

plots.py draws in one style, as SVG or PNG, and curves.py the losses of one training and of several;
page.py fills the report's one HTML page, which needs nothing from elsewhere.
"""
