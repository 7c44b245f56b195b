"""Pool analysis: tables."""
