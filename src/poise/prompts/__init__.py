"""Prompts: versioned files with typed slots. No prompt text lives in Python."""

from poise.prompts.load import PromptFile, Slot, closing, load, names

__all__ = ["PromptFile", "Slot", "closing", "load", "names"]
