"""Many engines on one PostgreSQL database, under fire: processes are killed and stopped, their connections are cut and
stalled, the replies to their commits are eaten, the server is restarted. `python -m torture nodes --minutes 20`."""
