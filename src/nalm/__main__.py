"""``python -m nalm`` is the command ``nalm``."""

from nalm.cli import main

if __name__ == "__main__":
    main()
