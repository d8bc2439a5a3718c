"""Jobs: their names and queues, what their specifications share, what they say while they run."""
