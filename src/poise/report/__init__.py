"""Reports: read traces, nothing else."""
