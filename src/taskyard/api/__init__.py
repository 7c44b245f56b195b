"""The HTTP interface: a Quart application and a blueprint for each resource."""
