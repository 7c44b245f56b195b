"""Pool media: pictures."""
