"""Poise decides, per question, how much reasoning to buy, and proves it with measured frontiers."""

__version__ = "0.1.0"
