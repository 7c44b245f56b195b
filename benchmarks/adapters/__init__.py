"""The systems, started and reached for the measurements."""
