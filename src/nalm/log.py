"""What a person should know, said once."""

import sys

__all__ = ["Notices", "notices"]


class Notices:
    """What a person should know, said on stderr once; a worker keeps it for the process that started it to say."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.silent = False

    def add(self, message: str) -> None:
        """Says a message, unless it has been said."""
        if message not in self.said:
            self.said.append(message)
            if not self.silent:
                print(f"nalm: {message}", file=sys.stderr, flush=True)


notices = Notices()
