"""The task code of the tests' own deployment."""
