"""What must hold: one module per claim, the case generators, and the tolerances."""
