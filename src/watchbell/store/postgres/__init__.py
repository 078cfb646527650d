"""PostgreSQL: how a database on a server is opened, read and written (PROTOCOL §9); `store.py` is the way in."""
