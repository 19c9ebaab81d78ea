"""What goes wrong for reasons that a user can mend; every message says what, where, and what to do."""


class UnusableError(Exception):
    """An adapter, a file or an argument that cannot be used (exit status 2)."""


class BrokenAnswerError(Exception):
    """The implementation raised, or returned something that is not an answer (verdict ``error``)."""
