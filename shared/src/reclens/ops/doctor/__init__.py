"""Checks a deployment from end to end, and says what to mend."""
