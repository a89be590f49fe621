"""The lab: train a reasoning adapter, a verifier and probes from procedural tasks, on a laptop or a GPU."""
