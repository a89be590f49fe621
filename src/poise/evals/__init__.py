"""Evals: tasks, grades, benchmarks and their statistics."""
