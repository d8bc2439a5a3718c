"""Jobs: run at most once at a time, resumed where they were cut, and seen from outside."""
