"""The same tasks as functions and as coroutines."""
