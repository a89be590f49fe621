"""Models: find, fetch and verify weights, and read what they cost."""

from poise.models.card import card_from_config, card_of
from poise.models.find import ModelFile, ModelRow, listing, locate

__all__ = ["ModelFile", "ModelRow", "card_from_config", "card_of", "listing", "locate"]
