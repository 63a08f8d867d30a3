"""The ``nalm`` command, whose subcommands are imported when they are called."""

import ast
import importlib
from collections.abc import Iterator, MutableMapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

import nalm
from nalm.cli.output import interrupted

__all__ = ["app"]

FILES = (
    "catalog",
    "training",
    "benchmark",
    "cluster",
    "exports",
    "results",
    "compare",
    "thresholds",
    "landscape",
)
"""Files with commands, in the order in which the help lists them."""


class _Declaration(NamedTuple):
    """Where a command is declared, and the first sentence of its help."""

    file: str
    summary: str


@cache
def _declarations() -> dict[str, _Declaration]:
    """Return the declarations of all commands. They are read from the source: importing it takes much longer."""
    found = {}
    for file in FILES:
        tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8"))
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "app.command":
                    name = ast.literal_eval(decorator.args[0]) if decorator.args else function.name
                    found[name] = _Declaration(file, (ast.get_docstring(function) or "").partition("\n")[0])
    return found


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._load(_declarations()[name].file)
        return self._loaded[name]

    def _load(self, file: str) -> None:
        """Import a file, which adds its commands to the app."""
        module = importlib.import_module(f"nalm.cli.{file}").__name__
        for declared in app.registered_commands:
            if getattr(declared.callback, "__module__", None) != module:
                continue
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            alone.registered_commands.append(declared)
            command = typer.main.get_command(alone)
            self._loaded[str(command.name)] = command

    def __contains__(self, name: object) -> bool:
        return name in _declarations()

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_declarations())

    def __len__(self) -> int:
        return len(_declarations())


class _Root(TyperGroup):
    """The group of all commands, which lists them without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would end without a word
            raise typer.Exit(interrupted()) from None

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, declared.summary) for name, declared in _declarations().items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=declared.summary)
            for name, declared in _declarations().items()
            if name.startswith(incomplete)
        ]


app = typer.Typer(
    name="nalm",
    cls=_Root,
    help="Neural arithmetic logic modules: train hundreds at once, and see which learn to calculate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        print(f"nalm {nalm.__version__}")
        raise typer.Exit
