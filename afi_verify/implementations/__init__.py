"""The analytical Fisher information, shipped: subjects under test that a user may also call."""
