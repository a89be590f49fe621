"""Stores: run directories."""
