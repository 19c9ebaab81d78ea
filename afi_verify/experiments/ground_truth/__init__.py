"""The paper's methods, with trained networks, where the exact Fisher information is known."""
