"""A model served to programs, over HTTP as OpenAI's interface, and to people.

settings    where to listen, and every limit
errors      what can be wrong with a request, as an answer in JSON
guard       who may ask, and how much they may send
fields      the fields of each kind of request, and what they may be
served      one model, its engine, and what it can do
models      a base and its adapters, by name
writing     answers as they grow, from the engine's thread to the connection
completions /v1/completions
chat        /v1/chat/completions
vectors     /v1/embeddings and /v1/classifications
metrics     what Prometheus reads
explorer/   the stages seen on a model and a text
runs        the curves, samples and settings of a folder's runs
pages       the pages for a browser, in web/, and what the browser may load
app         all of these as one application
run         opens a model, and adapters for it, and serves them
"""
