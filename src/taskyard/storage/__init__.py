"""Postgres: the truth. Statements live in queries/*.sql; each module here serves one aggregate."""
