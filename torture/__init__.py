"""Torture: real engines on real files are killed, stopped and starved; then the ledger is judged against what the jobs
themselves have written down. `python -m torture kill9 --cycles 300`."""
