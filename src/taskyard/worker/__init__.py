"""The Celery side: a worker for one pool that claims tasks, runs them and stores what came of it."""
