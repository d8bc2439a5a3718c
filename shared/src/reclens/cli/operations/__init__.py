"""Commands that run the system: the local stack, the demo, secrets, tokens, reproduction."""
