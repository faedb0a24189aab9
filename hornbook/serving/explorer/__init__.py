"""What the explorer page shows: the stages seen on a model and a text of the user's.

tokens      a text cut by each algorithm, and into windows
embedding   the token vectors in a plane, and each one's neighbours
attention   who looks at whom, and the steps that lead to it
guesses     what each layer would say next, what comes next as sampling settings move, and what a
            classifier thinks as it reads
adapter     what LoRA changed, layer by layer
routes      all of these as JSON

Nothing here imports a web framework but `routes`.
"""
