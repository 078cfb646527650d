"""Letting go of what is old, in small steps: days of occurrences become totals, logs and all that stands beside go."""
