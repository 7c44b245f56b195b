"""Pool documents: reports."""
