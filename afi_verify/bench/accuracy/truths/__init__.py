"""What the float64 oracles are measured against: other formulas, in ball arithmetic, to as many digits as it takes.

Nothing here shares a formula with the oracles: uniform laws by the derivatives of closed forms of ``log q_t`` (error
functions on an interval, the confluent ``0F1`` on a sphere), Gaussians by Woodbury's identity as it stands, densities
by a rigorous integration of their moments.
"""
