"""Strategies: one method a file."""
