"""Test suites to inherit: what whatever is added at an extension point must do. Needs pytest."""
