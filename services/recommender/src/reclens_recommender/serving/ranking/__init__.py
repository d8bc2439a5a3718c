"""From representations to ranked items, exactly or by an approximate index."""
