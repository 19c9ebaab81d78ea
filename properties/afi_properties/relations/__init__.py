"""The relations, one module per idea."""
