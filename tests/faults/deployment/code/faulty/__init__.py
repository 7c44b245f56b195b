"""The task code of fault drills."""
