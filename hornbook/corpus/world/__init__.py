"""The sample world: little English stories made by a hand-written grammar, the default corpus.

- `settings`: how much of it to make.
- `lexicon`, `verbs`, `grammar`: the words of the world, and small rules of English.
- `predicates`: verbs with what follows them, for lessons and questions about tense.
- `state`: one story while it is told: random choices, who has what, who is where, the text.
- `events`: what happens in many stories: going, finding, giving, putting, counting.
- `speech`, `openings`, `endings`, `coda`: dialogue, and what stories of every kind share.
- `plots`: one module a genre.
- `story`: `make_story(seed, index)`, a pure function, and `stories`.
- `questions`: short scenes and questions about them whose answer the state knows.
- `generate`: the whole corpus, the labelled set and the instruction set from `WorldSettings`.
"""
