"""Personal data and secrets in a corpus, found and taken out.

span         where something stands in a text, and what stands before it
addresses    e-mail and IP addresses
numbers      phone numbers, payment cards, IBANs
credentials  API keys and private keys
finding      all kinds in one text, and placeholders in their place
metadata     the same in what a document's file says about it
redaction    the settings, and the step that replaces what is found or drops the document
"""
