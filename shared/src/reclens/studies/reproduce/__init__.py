"""Every table and figure of a data set and a model, from jobs to a report."""
