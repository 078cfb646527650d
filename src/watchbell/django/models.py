"""What the admin hangs its page on: a model without a table. The ledger is no business of Django's database."""

from __future__ import annotations

from django.db import models


class Schedule(models.Model):
    """Stands for the page of schedules in the admin."""

    class Meta:
        managed = False
        app_label = "watchbell"
        default_permissions = ()
        verbose_name = "schedule"
        verbose_name_plural = "schedules"
