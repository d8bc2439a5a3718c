"""Commands that ask a running gateway: recommend, explain, compare, concepts, policies."""
