"""A model served to programs and people.

explorer/  the stages seen on a model and a text
runs       the curves, samples and settings of a folder's runs
pages      the pages for a browser, in web/, and what the browser may load
"""
