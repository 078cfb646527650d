"""What `watchbell demo` runs: an application as a user would write one, the shop it works for, and a web site to check.

    application.py  the jobs and schedules, against the public interface only; start reading here
    shop.py         the shop's own SQLite file: branches, orders, prices
    site.py         a small HTTP server whose answers fail now and then, on purpose
    place.py        the folder that keeps all of it

The command itself, which starts the service and shows what it does, is in cli/demo.py.
"""
