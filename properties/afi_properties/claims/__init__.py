"""One module per statement of the paper; each defines ``CLAIMS``."""
