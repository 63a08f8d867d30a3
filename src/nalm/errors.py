"""The one kind of error that is the user's to mend."""

__all__ = ["NalmError"]


class NalmError(ValueError):
    """Wrong input: one sentence naming the value found and the values allowed.

    The command line prints it to stderr and exits with code 2.
    """
