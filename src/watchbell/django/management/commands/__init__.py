"""Commands of manage.py; Django finds them by the names of these files."""
