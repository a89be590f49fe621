"""Named studies: several benchmarks and their reading, by one command that can be killed and goes on."""
