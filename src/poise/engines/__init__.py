"""Engines: draw text from language models. Wrappers of an engine are engines."""
