"""What is not worth learning from, found by looking at one document at a time.

settings    which filters are used, in which order
view        a document as the filters look at it: words, lines, paragraphs; what they say of it
repeats     n-grams of words that come again within one text
gopher      Gopher's rules about words, symbols and lines
repetition  Gopher's rules about lines, paragraphs and n-grams that come again
c4          C4's rules about lines and pages
fineweb     FineWeb's rules about lines
unicode     characters normalized, wrongly decoded ones repaired
language    which language a text is in
filtering   the step that runs them all, in several processes, with an account of each
"""
