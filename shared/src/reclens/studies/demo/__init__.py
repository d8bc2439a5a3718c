"""The demo: real data to a steered recommendation, told and drawn."""
