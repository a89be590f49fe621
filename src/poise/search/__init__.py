"""Pure arithmetic of sampling and search: no await, no engine, no clock, no global randomness."""
