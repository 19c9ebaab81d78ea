"""The accuracy of every oracle, in multiples of what float64 could attain: ``afi-verify bench accuracy``."""
