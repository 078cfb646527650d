"""Carried out on both databases (tests/databases.py)."""

from __future__ import annotations

from tests.databases import lane, pytest_generate_tests

__all__ = ["lane", "pytest_generate_tests"]
