"""A Django project with jobs, as people write it."""
