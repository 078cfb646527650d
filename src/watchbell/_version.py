"""The version of this watchbell."""

__version__ = "0.1.0"
