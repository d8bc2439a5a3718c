"""The inference server: loads releases and answers InferenceService from them.

`server` wires it together, `servicer` takes the calls, `batching` gathers their entries, and
`answering` answers them by `queries` to a `served_model`. A query is answered from
`representations`, of which `ranking` makes lists of items by their `scores`.
"""
