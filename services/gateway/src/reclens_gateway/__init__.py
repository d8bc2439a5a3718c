"""Answers SteeringService: names become latents, one call to inference, rows become titles.

``server`` puts the calls into one service and wires it together. Below it, each room imports only
those after it: ``calls`` (the handlers and what their answers say), ``policies`` (stored ones, read
from a snapshot) and ``batching`` (the client of inference), ``resolving`` (requests in terms of one
version of a release).
"""
