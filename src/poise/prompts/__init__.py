"""Prompts are files with an id, a version and a hash; nothing in Python says what a model is told."""

from poise.prompts.file import Measurement, PromptFile, Slot
from poise.prompts.load import bytes_of, closing, load, names, text_of, waiting
from poise.prompts.parse import parse

__all__ = ["Measurement", "PromptFile", "Slot", "bytes_of", "closing", "load", "names", "parse", "text_of", "waiting"]
