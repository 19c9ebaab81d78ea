"""``python -m afi_verify``."""

from afi_verify.cli import main

main()
