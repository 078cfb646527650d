"""The states in which a row is not at its end, for SQL."""

LIVE = "'waiting', 'queued', 'held', 'claimed', 'running', 'retrying'"
