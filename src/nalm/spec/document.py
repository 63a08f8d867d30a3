"""YAML 1.2 documents that know their line numbers, and readable errors for values that do not fit a model."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from nalm.errors import NalmError

__all__ = ["Document", "Location", "check", "parse_value", "sentence"]

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]
MAX_VALUES = 100_000
MAX_DEPTH = 100
MAX_CHARACTERS = 4_000_000

CORE = "tag:yaml.org,2002:"
SCALARS = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]{1,100}",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader with the numbers and booleans of YAML 1.2: ``5e-3`` is a number, ``off`` is a string."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012
    yaml_constructors = {  # noqa: RUF012
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (None, *(CORE + kind for kind in ("str", "seq", "map", *SCALARS)))
    }


for _kind, _pattern in SCALARS.items():
    _Loader.add_implicit_resolver(CORE + _kind, re.compile(rf"^(?:{_pattern})$"), None)
_Loader.add_constructor(CORE + "int", lambda loader, node: int(node.value))


class Document:
    """The content of a YAML file as a dictionary, with the line number of every value.

    Arguments:
        path: the file.
        may_be_empty: whether to accept a file that is empty or holds only comments, as an empty mapping.

    Raises:
        NalmError: the file cannot be read, is not valid YAML, repeats a key, or is not a mapping.
    """

    def __init__(self, path: Path, *, may_be_empty: bool = False) -> None:
        self.source = str(path)
        self.lines: dict[Location, int] = {}
        try:
            text = self._text(path)
            loader = _Loader(text)
            node = loader.get_single_node()
            self._merge(node, set())
            self._index(node, ())
            value = loader.construct_document(node) if node else None
        except OSError as error:
            raise NalmError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise NalmError(f"{path}: found bytes that are not text, expected UTF-8") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or getattr(error, "reason", "unreadable")
            raise NalmError(f"{path}{line}: not valid YAML: {problem}") from None
        except NalmError:
            raise
        except Exception as error:  # a tag that does not fit its value, or nesting that is too deep
            raise NalmError(f"{path}: not valid YAML: {type(error).__name__}: {error}") from None
        if value is None and may_be_empty:
            value = {}
        if not isinstance(value, dict):
            raise NalmError(f"{path}:1: found {_show(value)}, expected a mapping of fields")
        self.value: dict[str, Any] = value

    def _text(self, path: Path) -> str:
        """Return the text of a file, after checking that it is not too long to be worth the work."""
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
        if len(text) > MAX_CHARACTERS:
            raise self.error((), f"found more than {MAX_CHARACTERS:,} characters, expected fewer")
        values = depth = 0
        for event in yaml.parse(text, _Loader):
            values += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self.error((), f"found more than {MAX_DEPTH} levels of lists and mappings, expected fewer")
            if values > 2 * MAX_VALUES:  # keys are values here
                raise self.error((), f"found more than {MAX_VALUES} values, expected fewer")
        return text

    def _merge(self, node: yaml.Node | None, seen: set[int]) -> None:
        """Replace the merge keys of mappings, ``<<: *base`` or ``<<: [*one, *other]``, by the fields they stand for."""
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for child in node.value:
                self._merge(child, seen)
            return
        own: list[tuple[yaml.Node, yaml.Node]] = []
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, child in node.value:
            self._merge(child, seen)
            if not (isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style):
                own.append((key, child))
                continue
            for base in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                if not isinstance(base, yaml.MappingNode):
                    line = f"{self.source}:{key.start_mark.line + 1}"
                    raise NalmError(f"{line}: found {base.value!r} to merge, expected a mapping or a list of them")
                merged += base.value
                if len(merged) > MAX_VALUES:
                    raise self.error((), f"found more than {MAX_VALUES} values, expected fewer")
        known = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
        for key, child in merged:  # own fields win, then the first mapping
            if not (isinstance(key, yaml.ScalarNode) and key.value in known):
                own.append((key, child))
                known.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        node.value = own

    def _index(self, node: yaml.Node | None, location: Location) -> None:
        if node is None:
            return
        line = node.start_mark.line + 1
        if len(self.lines) > MAX_VALUES:  # aliases can expand a short text without limit
            raise self.error((), f"found more than {MAX_VALUES} values, expected fewer")
        if location in self.lines:
            raise self.error(location, f"found the key {location[-1]!r} twice (again on line {line}), expected it once")
        self.lines[location] = line
        if isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                if key.tag != CORE + "str":
                    found = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                    raise NalmError(
                        f"{self.source}:{key.start_mark.line + 1}: found {found} as a key, expected the name of a field"
                    )
                self._check_text(key)
                self._index(child, (*location, key.value))
        elif isinstance(node, yaml.ScalarNode):
            self._check_text(node)
            kind = node.tag.removeprefix(CORE)
            if kind in SCALARS and not re.fullmatch(SCALARS[kind], node.value):
                raise self.error(location, f"found {node.value!r}, expected a valid {kind} because of its tag")
        elif isinstance(node, yaml.SequenceNode):
            for index, child in enumerate(node.value):
                self._index(child, (*location, index))

    def _check_text(self, node: yaml.ScalarNode) -> None:
        """Refuse halves of surrogate pairs, which no file can be written with."""
        if strange := re.search("[\ud800-\udfff]", node.value):
            raise NalmError(
                f"{self.source}:{node.start_mark.line + 1}: found the character U+{ord(strange[0]):04X}, half of a "
                "surrogate pair, expected text that can be written as UTF-8"
            )

    def error(self, location: Location, sentence: str) -> NalmError:
        """Return an error with the line of a location, or of its innermost parent that is in the document."""
        place = location
        while place not in self.lines and place:
            place = place[:-1]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
        return NalmError(f"{self.source}:{self.lines.get(place, 1)}: {field + ': ' if field else ''}{sentence}")


def check(model: type[M], value: Any, document: Document, origins: Sequence[Location] = ((),)) -> M:
    """Validate a value that comes from a document.

    Arguments:
        model: the model to validate against.
        value: the value.
        document: the document that the value was read from.
        origins: locations in the document that the value may have been merged from, the most specific first.

    Raises:
        NalmError: the value does not fit. There is one sentence per problem, with file, line, field, the value found
            and the values expected.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise NalmError("\n".join(_sentences(model, error, value, document, origins))) from None


def _sentences(
    model: type[BaseModel], error: ValidationError, value: Any, document: Document, origins: Sequence[Location]
) -> Iterator[str]:
    found: dict[Location, list[ErrorDetails]] = {}
    for details in error.errors():
        found.setdefault(_place(details, value), []).append(details)
    for place, alternatives in found.items():
        if any(len(other) > len(place) and other[: len(place)] == place for other in found):
            continue  # the user meant the alternative of this field whose error lies deeper
        origin = next((origin for origin in origins if (*origin, *place) in document.lines), origins[0])
        first, *further = (sentence(model, details) for details in alternatives)
        expected = [text.partition(", expected ")[2] for text in further]
        yield str(document.error((*origin, *place), " or ".join([first, *expected])))


def _place(details: ErrorDetails, value: Any) -> Location:
    """Return an error's location in the value, without the names that pydantic gives to the members of a union."""
    *parents, last = details["loc"] or ("",)
    place: list[str | int] = []
    for part in [*parents, last]:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        ):
            place.append(part)
            value = value[part]  # type: ignore[index]
        elif details["type"] in ("missing", "extra_forbidden") and part == last:
            place.append(part)
    return tuple(place)


def sentence(model: type[BaseModel], details: ErrorDetails) -> str:
    """Describe an error of pydantic in plain words: the value found and the values expected."""
    kind, found = details["type"], _show(details["input"])
    if kind == "value_error":
        message = str(details["ctx"]["error"])
        return f"found {found}, {message}" if message.startswith("expected") else message
    if kind == "too_short":
        return f"found {found}, expected a list of at least {details['ctx']['min_length']}"
    if kind in ("dict_type", "model_type"):
        return f"found {found}, expected a mapping of fields"
    if kind == "tuple_type":
        return f"found {found}, expected a list"
    if kind == "missing":
        return "found nothing, expected a value"
    if kind == "extra_forbidden":
        name = str(details["loc"][-1])
        fields = list(_model_at(model, details["loc"][:-1]).model_fields)
        close = difflib.get_close_matches(name, fields, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"found unknown field {name!r}, expected one of: {', '.join(fields)}{hint}"
    expected = details["msg"].removeprefix("Input should be ").replace("a valid ", "a ").split(", unable")[0]
    expected = expected.split(", got a number")[0].replace("a integer", "an integer")
    return f"found {found}, expected {expected}"


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        candidates = [annotation, *get_args(annotation)]
        model = next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), model)
    return model


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse_value(text: str) -> Any:
    """Read a single YAML value, as typed on a command line.

    Raises:
        NalmError: the text is not valid YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # the same errors as for documents
        raise NalmError(f"found {text!r}, expected a YAML value: {getattr(error, 'problem', error)}") from None


def valid(model: type[M], fields: dict[str, Any]) -> M:
    """Validate fields that a person typed.

    Raises:
        NalmError: a field is unknown, missing, or has a wrong value.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        details = error.errors()[0]
        raise NalmError(f"{'.'.join(map(str, details['loc']))}: {sentence(model, details)}".lstrip(": ")) from None
