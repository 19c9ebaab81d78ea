"""Studies of the paper's algorithms where the truth is known."""
