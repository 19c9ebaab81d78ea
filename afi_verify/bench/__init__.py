"""Benchmarks of afi-verify itself: how fast and how accurate its oracles are."""
