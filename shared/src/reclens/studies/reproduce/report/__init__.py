"""The report of an experiment: claims, findings, tables and figures, written by templates."""
