"""gunicorn: a web application with an engine in each of its processes, which are killed, ended and reloaded while
requests enqueue; then the ledger is judged against what the jobs have written down."""
