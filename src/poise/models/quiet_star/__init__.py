"""Quiet-STaR: a language model that thinks before every token (Zelikman et al. 2024, arXiv 2403.09629)."""
