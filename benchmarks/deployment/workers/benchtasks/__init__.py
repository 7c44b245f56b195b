"""The task code of the benchmark's deployment."""
