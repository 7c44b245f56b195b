"""The same work through Taskyard and through what teams use instead, side by side in one run."""
