"""The Celery side: a worker for one pool that claims tasks, runs them and stores the outcome."""
