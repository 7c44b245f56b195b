"""Requests to addresses that users of the API have named, and that lead nowhere they should not."""
