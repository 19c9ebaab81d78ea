"""Theorem 1 on trial: whether the map of the probability-flow ODE is an optimal transport."""
