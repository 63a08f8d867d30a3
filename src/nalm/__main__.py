"""``python -m nalm`` is the command ``nalm``."""

import os
import sys


def _forget_working_directory() -> None:
    """Take the working directory off the module path, where ``-m`` puts it first, unless nalm itself is there."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not sys.flags.safe_path and sys.path[0] != home:
        del sys.path[0]


if __name__ == "__main__":
    _forget_working_directory()

    from nalm.cli import main

    main()
