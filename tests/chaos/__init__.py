"""Faults by schedule: jobs run while processes, Redis and the store break; nothing may be lost.

Read in this order: `schedule` draws a round from its seed; `wires` stand between the workers and
the servers; `programs` are the processes; `world` is all of them with data and jobs; `faults` break
things; `oracle` tells what is wrong afterwards; `serving` asks the gateway meanwhile; `rounds` puts
a round together; ``python -m chaos`` runs many.
"""
