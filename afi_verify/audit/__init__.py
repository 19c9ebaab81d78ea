"""The command ``afi-verify audit``: every verdict about the paper, recomputed."""
