"""The oracles."""
