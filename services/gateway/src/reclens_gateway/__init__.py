"""Answers SteeringService: names become latents, one call to inference, rows become titles.

``server`` wires it together and ``servicer`` puts the calls into one service. Below them, each room
imports only those after it: ``calls`` (the handlers and what their answers say), ``policies``
(stored ones: checked, written, read from a snapshot) and ``batching`` (the client of inference),
``resolving`` (requests in terms of one version of a release).
"""
