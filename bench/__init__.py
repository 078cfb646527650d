"""Measurements: what this machine makes of watchbell, beside what the machine itself can do. `python -m bench [ROW …]`.

Nothing here asserts anything. Every engine, caller and limit runs in a process of its own; databases lie in `.bench/`
of the checkout, on the disk that is meant, and are removed afterwards.
"""
