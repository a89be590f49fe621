"""Prompts are files with an id, a version and a hash; nothing in Python says what a model is told."""

from poise.prompts.file import PromptFile, Slot
from poise.prompts.load import closing, load, names, waiting
from poise.prompts.parse import parse

__all__ = ["PromptFile", "Slot", "closing", "load", "names", "parse", "waiting"]
