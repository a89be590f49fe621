"""Scorers: guess at run time how good a path is."""
