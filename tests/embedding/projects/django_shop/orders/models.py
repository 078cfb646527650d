"""A table of the application's own."""

from django.db import models


class Order(models.Model):
    """An order."""

    number = models.IntegerField()
