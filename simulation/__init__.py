"""Simulation: the real engine on an in-memory database lives through years of edits, crashes and clock changes in
virtual time, and after every step the ledger is held against what must always be true. `python -m simulation`."""
