"""The reference pages of docs/, made from contracts, settings and commands."""
