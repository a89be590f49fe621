"""Models: find, fetch and verify weights, and read what they cost."""
