"""Jobs: what a kind of job is, what their specifications share, what they say while they run."""
