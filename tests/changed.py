"""Print the tests of what was changed since the branch left main: one path per line, for pytest."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

__all__ = ["paths_of"]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = Path("src/nalm")
TESTS = Path("tests")


def changed_files(root: Path) -> list[Path]:
    """Return the files that differ from where the branch left main, and those that git does not know yet."""
    base = git(root, "merge-base", "HEAD", "main")
    names = git(root, "diff", "--name-only", *base) + git(root, "ls-files", "--others", "--exclude-standard")
    return [Path(name) for name in names]


def git(root: Path, *arguments: str) -> list[str]:
    """Return the lines that a git command prints; none where there is no main branch to compare with."""
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False).stdout.split()


def paths_of(changed: Iterable[Path], root: Path) -> list[str]:
    """Return the rooms of the changed files, with their tests; a file beside the rooms is a room of its own."""
    rooms = {
        file.relative_to(top).parts[0].removesuffix(".py").removeprefix("test_")
        for file in changed
        for top in (SOURCES, TESTS)
        if file.is_relative_to(top)
    }
    paths = [
        path
        for room in sorted(rooms)
        for path in (SOURCES / room, SOURCES / f"{room}.py", TESTS / room, TESTS / f"test_{room}.py")
    ]
    return [str(path) for path in paths if (root / path).exists()]


if __name__ == "__main__":
    print(*paths_of(changed_files(ROOT), ROOT), sep="\n")
