"""The sample world: little English stories made by a hand-written grammar, the default corpus.

- `lexicon`: the people, places, animals, things and goods of the world.
- `verbs`: verbs with their third person and past, for sentences in two tenses.
- `grammar`: articles, numbers, lists, capitals.
- `state`: one story while it is told: random choices, who has what, who is where, the text.
- `speech`: dialogue, and questions that are answered from the state.
- `openings`, `endings`: first and last sentences that every kind of story shares.
- `plots`: one module a genre.
- `story`: `make_story(seed, index)`, a pure function, and `stories`.
- `scenes`, `questions`: short scenes and questions about them whose answer the state knows.
- `generate`: the whole corpus, the labelled set and the instruction set from `WorldSettings`.
"""
