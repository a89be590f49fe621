"""Prompt optimisers: gradients over reasoning, their controls, and what is kept of the prompts that they try."""
