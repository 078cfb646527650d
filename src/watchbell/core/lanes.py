"""Lanes: the ways in which attempts are carried out, each with slots of its own."""

from __future__ import annotations

BY_THEMSELVES = frozenset({"command", "http"})
"""The lanes whose jobs say themselves what is to be done, so that any node can carry them out."""
