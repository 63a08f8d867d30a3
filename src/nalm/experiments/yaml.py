"""Reads YAML 1.2 into a pydantic model; an error names file, line, field, what was found and what was expected."""

import difflib
import json
import pathlib
import re
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import WithDefaultSchema

from nalm.errors import NalmError

__all__ = ["read", "read_file"]

M = TypeVar("M", bound=BaseModel)
_Path = tuple[str | int, ...]
_Schema = dict[str, Any]
_Located = tuple[_Path, ErrorDetails]

_MOST_NODES = 100_000  # aliases make a short text expand without end
_DEEPEST = 100  # Python and pydantic refuse more than about 200 levels, less readably
_LONGEST_INT = 1000  # Python and pydantic refuse more than 4300 digits, less readably
_MOST_PROBLEMS = 5
_LONGEST_SHOWN = 60

_CORE = "tag:yaml.org,2002:"
_SCALARS = {  # https://yaml.org/spec/1.2.2/#1032-tag-resolution
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "str": r"[^\ud800-\udfff]*",  # an escape can name half a character
}
_KINDS = {yaml.ScalarNode: tuple(_SCALARS), yaml.SequenceNode: ("seq",), yaml.MappingNode: ("map",)}

# The errors that the description of the field explains; all others keep pydantic's or the validator's own words.
_EXPLAINED = (
    r"_type$|_parsing$|too_(short|long)$|^(int_from|literal|enum|missing|string_pat|union)"
)
_ABSENT = ("missing", "union_tag_not_found")
_JUDGED = ("value_error", "assertion_error")
_NOUNS = {"number": "a number", "integer": "a whole number", "string": "a string", "boolean": "true or false"}
_NOUNS |= {"null": "null", "array": "a list", "object": "a mapping"}
_LIMITS = {"exclusiveMinimum": "greater than", "minimum": "not below", "exclusiveMaximum": "less than"}
_LIMITS |= {"maximum": "not above", "multipleOf": "divisible by", "pattern": "matching"}
_LIMITS |= {"minLength": "of length at least", "maxLength": "of length at most"}
_COUNTS = {"minItems": "at least", "maxItems": "at most"}


def read(text: str, source: str, model: type[M]) -> M:
    """Return the model that the YAML text describes; `source` names the text in errors."""
    document = _Document(text, source)
    body = json.dumps(document.value)
    try:
        result = model.model_validate_json(body)
    except ValidationError as error:
        raise document.report(_findings(error, document.value, model)) from None
    try:
        model.model_validate_json(body, strict=True)
    except ValidationError as error:
        # Of the strict rules only one is wanted: text is no number and `off` no boolean. The others would refuse
        # 1e6 for a whole number, and a list for a tuple behind a validator.
        if coerced := [finding for finding in _findings(error, document.value, model) if finding.is_coercion()]:
            raise document.report(coerced) from None
    return result


def read_file(path: pathlib.Path, model: type[M]) -> M:
    """Return the model that the YAML file describes."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NalmError(f"{path}: found no such file, expected a YAML file") from None
    except IsADirectoryError:
        raise NalmError(f"{path}: found a directory, expected a YAML file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise NalmError(f"{path}: found a file that cannot be read ({reason}), expected a YAML file") from None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NalmError(f"{path}:{line}: found byte 0x{content[error.start]:02x}, expected UTF-8 text") from None
    return read(text, str(path), model)


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2; PyYAML's own resolvers are those of YAML 1.1."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        None: [(_CORE + kind, re.compile(rf"(?:{pattern})\Z")) for kind, pattern in _SCALARS.items()]
    }


class _Document:
    """The values of one YAML text and the lines they stand on."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.value_lines: dict[_Path, int] = {}
        self.key_lines: dict[_Path, int] = {}
        try:
            self.value = self._value(self._compose(text), ())
        except RecursionError:
            raise self._error(1, f"found more than {_DEEPEST} nested levels, expected fewer") from None

    def report(self, findings: "list[_Finding]") -> NalmError:
        """Return the error that states the first findings, one to a line."""
        lines = sorted(((self._line(finding), finding.sentence()) for finding in findings), key=lambda line: line[0])
        shown = [f"{self.source}:{line}: {sentence}" for line, sentence in lines[:_MOST_PROBLEMS]]
        more = [f"and {len(lines) - _MOST_PROBLEMS} more"] if len(lines) > _MOST_PROBLEMS else []
        return NalmError("\n".join(shown + more))

    def _line(self, finding: "_Finding") -> int:
        path = finding.path
        if finding.is_unknown_field() and path in self.key_lines:
            return self.key_lines[path]
        while path not in self.value_lines:
            path = path[:-1]
        return self.value_lines[path]

    def _error(self, line: int, message: str) -> NalmError:
        return NalmError(f"{self.source}:{line}: {' '.join(message.split())}")

    def _compose(self, text: str) -> yaml.Node:
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            problem = ", ".join(filter(None, (error.context, error.problem)))
            raise self._error(error.problem_mark.line + 1 if error.problem_mark else 1, f"not valid YAML: {problem}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._error(line, f"not valid YAML: found {chr(error.character)!r}, {error.reason}") from None
        except (ValueError, OverflowError):
            problem = "found a number out of range in an escape or directive"
            raise self._error(loader.line + 1, f"not valid YAML: {problem}") from None
        if isinstance(node, yaml.MappingNode):
            return node
        found = {yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list"}.get(type(node), "nothing")
        raise self._error(_line(node) if node else 1, f"found {found}, expected a mapping")

    def _value(self, node: yaml.Node, path: _Path) -> Any:
        self.value_lines[path] = _line(node)
        if len(self.value_lines) > _MOST_NODES:
            raise self._error(_line(node), f"found more than {_MOST_NODES} values, expected fewer")
        if len(path) > _DEEPEST:
            raise RecursionError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._kind(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        fields = self._fields(node)
        self.key_lines |= {(*path, name): _line(key) for name, (key, _) in fields.items()}
        return {name: self._value(child, (*path, name)) for name, (_, child) in fields.items()}

    def _kind(self, node: yaml.Node) -> str:
        kind = node.tag.removeprefix(_CORE)
        if kind not in _KINDS[type(node)]:
            raise self._error(_line(node), f"found the tag {node.tag.replace(_CORE, '!!')}, expected plain YAML")
        return kind

    def _scalar(self, node: yaml.ScalarNode) -> object:
        kind, text = self._kind(node), node.value
        if not re.fullmatch(_SCALARS[kind], text) or (kind == "int" and len(text) > _LONGEST_INT):
            raise self._error(_line(node), f"found {_show(text)}, expected a valid {kind}")
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(re.sub(r"\.(?=[in])", "", text.lower()))
        return text

    def _fields(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        fields: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(_line(key), "found a list or mapping as a key, expected a name")
            self._scalar(key)
            if key.value in fields:
                first = f"first on line {_line(fields[key.value][0])}"
                raise self._error(_line(key), f"found the key {key.value!r} again ({first}), expected it once")
            fields[key.value] = key, value
        if "<<" not in fields:
            return fields
        _, base = fields.pop("<<")
        if not isinstance(base, yaml.MappingNode):
            raise self._error(_line(base), "found '<<' without a mapping, expected the alias of one mapping")
        return self._fields(base) | fields


class _Finding(NamedTuple):
    """The errors at one place of the document, and the schemas a value there may follow."""

    path: _Path
    value: object
    kind: str
    errors: list[ErrorDetails]
    options: list[_Schema]

    def is_unknown_field(self) -> bool:
        return self.kind == "extra_forbidden"

    def is_coercion(self) -> bool:
        """Whether a scalar of the document was taken for one of another type."""
        kinds = {error["type"] for error in self.errors}
        same = isinstance(self.value, str | int | float) and all(error["input"] == self.value for error in self.errors)
        whole = "int_type" in kinds and isinstance(self.value, float)
        return same and not whole and bool(kinds & {"bool_type", "int_type", "float_type"})

    def sentence(self) -> str:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")
        return (place and f"{place}: ") + (self._unknown_field() if self.is_unknown_field() else self._mismatch())

    def _unknown_field(self) -> str:
        name = str(self.path[-1])
        names = list(dict.fromkeys(name for option in self.options for name in option.get("properties", ())))
        close = difflib.get_close_matches(name, names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"found unknown field {name!r}, expected {'one of: ' + ', '.join(names) if names else 'no field'}{hint}"

    def _mismatch(self) -> str:
        error = self.errors[0]
        found = "nothing" if self.kind in _ABSENT else _show(self.value)
        if error["loc"][-1:] == ("[key]",):
            found = f"the key {self.path[-1]!r}"
        elif re.search(_EXPLAINED, self.kind) and (words := _either(self.options)):
            return f"found {found}, expected {words}"
        elif self.kind in _ABSENT:
            return f"found {found}, expected a value"
        message = " ".join(str(error.get("ctx", {}).get("error", error["msg"])).split())
        if message.startswith("Input should be "):
            message = message.removeprefix("Input should be ").partition(", unable to parse")[0]
            return f"found {found}, expected {'a number ' if self.kind.startswith(("greater", "less")) else ''}{message}"
        return message if "found" in message else f"found {found}, but {message}"


class _QuietSchema(GenerateJsonSchema):
    """Describes what it can: a field without a JSON schema only makes a message less precise."""

    ignored_warning_kinds = {"skipped-choice"}  # noqa: RUF012

    def default_schema(self, schema: WithDefaultSchema) -> _Schema:
        return self.generate_inner(schema["schema"])

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> _Schema:
        return {}


def _findings(error: ValidationError, document: object, model: type[BaseModel]) -> list[_Finding]:
    """Return what pydantic found, by place in the document."""
    errors = []
    for details in error.errors(include_url=False):
        # pydantic reports a wrong discriminator at the mapping that holds it
        tag = (details["ctx"]["discriminator"].strip("'"),) if details["type"].startswith("union_tag") else ()
        errors.append((details["loc"] + tag, details))
    schema = model.model_json_schema(schema_generator=_QuietSchema)
    return _follow(errors, (), document, _options({"$defs": {}, **schema}))


def _follow(errors: list[_Located], path: _Path, value: Any, options: list[_Schema]) -> list[_Finding]:
    """Follow locations down the document; parts of them that are not in it are labels of a union's branches."""
    if here := [error for location, error in errors if not location]:
        return [_Finding(path, value, here[0]["type"], here, options)]
    groups: dict[str | int, list[_Located]] = {}
    for (part, *rest), error in errors:
        groups.setdefault(part, []).append((tuple(rest), error))
    findings, branches = [], []
    for part, group in groups.items():
        kind = "" if group[0][0] else group[0][1]["type"]
        if _holds(value, part) or kind in _ABSENT:
            child = value[part] if _holds(value, part) else None
            below = options if kind == "extra_forbidden" else _child(options, part)
            findings += _follow(group, (*path, part), child, below)
        else:
            labelled = [option for option in options if option.get("label") == part]
            branches.append(_follow(group, path, value, labelled or options))
    if telling := _telling_branch(branches, path, value):
        return findings + telling
    return (
        [*findings, _Finding(path, value, "union", [error for _, error in errors], options)] if branches else findings
    )


def _telling_branch(branches: list[list[_Finding]], path: _Path, value: object) -> list[_Finding]:
    """Return the findings of the branch that was evidently meant, if one was."""
    if len(branches) == 1:
        return branches[0]
    entered = [branch for branch in branches if any(f.path != path or f.kind in _JUDGED for f in branch)]
    entered.sort(key=len)
    fewest = len(entered) > 1 and isinstance(value, dict) and len(entered[0]) < len(entered[1])
    return entered[0] if len(entered) == 1 or fewest else []


def _holds(value: object, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _options(schema: _Schema) -> list[_Schema]:
    """Return the alternatives of a schema, each with its definitions and pydantic's label for it."""
    definitions = {"$defs": schema["$defs"]}
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _options({**schema["$defs"][name], **definitions, "label": schema.get("label") or name})
    tags = {reference: tag for tag, reference in schema.get("discriminator", {}).get("mapping", {}).items()}
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    nested = [_options({**branch, **definitions, "label": tags.get(branch.get("$ref"))}) for branch in branches]
    return [option for options in nested for option in options] if nested else [schema]


def _child(options: list[_Schema], part: str | int) -> list[_Schema]:
    found = []
    for option in options:
        if isinstance(part, int):
            child = dict(enumerate(option.get("prefixItems", ()))).get(part, option.get("items"))
        else:
            child = option.get("properties", {}).get(part, option.get("additionalProperties"))
        if isinstance(child, dict):
            found += _options({**child, "$defs": option["$defs"]})
    return found


def _either(options: list[_Schema]) -> str:
    """Say in plain words what schemas allow, or nothing if one of them does not tell."""
    words = list(dict.fromkeys(word for option in options for word in _words(option)))
    return _joined(words) if all(words) else ""


def _words(option: _Schema) -> list[str]:
    if "const" in option or "enum" in option:
        return [_show(value) for value in option.get("enum", [option.get("const")])]
    noun = _NOUNS.get(option.get("type", ""), "")
    if option.get("type") == "array":
        return [f"{noun} of {_items(option)}"]
    if option.get("properties"):
        return [f"{noun} ({', '.join(option['properties'])})"]
    limits = [f"{limit} {option[key]}" for key, limit in _LIMITS.items() if key in option]
    return [" ".join(filter(None, (noun, " and ".join(limits))))]


def _items(option: _Schema) -> str:
    items = option.get("prefixItems") or [option.get("items", {})]
    kinds = [kind for item in items for kind in _options({**item, "$defs": option["$defs"]})]
    nouns = list(dict.fromkeys(noun for kind in kinds for noun in _plural(kind)))
    counts = [f"{count} {option[key]}" for key, count in _COUNTS.items() if key in option]
    if "minItems" in option and option["minItems"] == option.get("maxItems"):
        counts = [str(option["minItems"])]
    return f"{' and '.join(counts)} {_joined(nouns) if all(nouns) else 'items'}".strip()


def _plural(option: _Schema) -> list[str]:
    if "const" in option or "enum" in option:
        return _words(option)
    noun = _NOUNS.get(option.get("type", ""), "")
    return [f"{noun[2:]}s" if noun.startswith("a ") else noun]


def _joined(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def _show(value: object) -> str:
    """Return a short form of a value, much as the document has it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "...")
    if isinstance(value, dict):
        text, short = f"a mapping ({', '.join(value)})" if value else "an empty mapping", "a mapping"
    elif isinstance(value, list):
        text, short = f"[{', '.join(map(_show, value))}]", f"a list of length {len(value)}"
    else:
        text, short = repr(value), repr(value)[:_LONGEST_SHOWN] + "..."
    return text if len(text) <= _LONGEST_SHOWN else short


def _line(self, finding: "_Finding") -> int:
        path = finding.path
        if finding.is_unknown_field() and path in self.key_lines:
            return self.key_lines[path]
        while path not in self.value_lines:
            path = path[:-1]
        return self.value_lines[path]

    def _error(self, line: int, message: str) -> NalmError:
        return NalmError(f"{self.source}:{line}: {' '.join(message.split())}")

    def _compose(self, text: str) -> yaml.Node:
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            problem = ", ".join(filter(None, (error.context, error.problem)))
            raise self._error(error.problem_mark.line + 1 if error.problem_mark else 1, f"not valid YAML: {problem}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self._error(line, f"not valid YAML: found {chr(error.character)!r}, {error.reason}") from None
        except (ValueError, OverflowError):
            problem = "found a number out of range in an escape or directive"
            raise self._error(loader.line + 1, f"not valid YAML: {problem}") from None
        if isinstance(node, yaml.MappingNode):
            return node
        found = {yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list"}.get(type(node), "nothing")
        raise self._error(_line(node) if node else 1, f"found {found}, expected a mapping")

    def _value(self, node: yaml.Node, path: _Path) -> Any:
        self.value_lines[path] = _line(node)
        if len(self.value_lines) > _MOST_NODES:
            raise self._error(_line(node), f"found more than {_MOST_NODES} values, expected fewer")
        if len(path) > _DEEPEST:
            raise RecursionError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._kind(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        fields = self._fields(node)
        self.key_lines |= {(*path, name): _line(key) for name, (key, _) in fields.items()}
        return {name: self._value(child, (*path, name)) for name, (_, child) in fields.items()}

    def _kind(self, node: yaml.Node) -> str:
        kind = node.tag.removeprefix(_CORE)
        if kind not in _KINDS[type(node)]:
            raise self._error(_line(node), f"found the tag {node.tag.replace(_CORE, '!!')}, expected plain YAML")
        return kind

    def _scalar(self, node: yaml.ScalarNode) -> object:
        kind, text = self._kind(node), node.value
        if not re.fullmatch(_SCALARS[kind], text) or (kind == "int" and len(text) > _LONGEST_INT):
            raise self._error(_line(node), f"found {_show(text)}, expected a valid {kind}")
        match kind:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(re.sub(r"\.(?=[in])", "", text.lower()))
        return text

    def _fields(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        fields: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(_line(key), "found a list or mapping as a key, expected a name")
            self._scalar(key)
            if key.value in fields:
                first = f"first on line {_line(fields[key.value][0])}"
                raise self._error(_line(key), f"found the key {key.value!r} again ({first}), expected it once")
            fields[key.value] = key, value
        if "<<" not in fields:
            return fields
        _, base = fields.pop("<<")
        if not isinstance(base, yaml.MappingNode):
            raise self._error(_line(base), "found '<<' without a mapping, expected the alias of one mapping")
        return self._fields(base) | fields


class _Finding(NamedTuple):
    """The errors at one place of the document, and the schemas a value there may follow."""

    path: _Path
    value: object
    kind: str
    errors: list[ErrorDetails]
    options: list[_Schema]

    def is_unknown_field(self) -> bool:
        return self.kind == "extra_forbidden"

    def is_coercion(self) -> bool:
        """Whether a scalar of the document was taken for one of another type."""
        kinds = {error["type"] for error in self.errors}
        same = isinstance(self.value, str | int | float) and all(error["input"] == self.value for error in self.errors)
        whole = "int_type" in kinds and isinstance(self.value, float)
        return same and not whole and bool(kinds & {"bool_type", "int_type", "float_type"})

    def sentence(self) -> str:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")
        return (place and f"{place}: ") + (self._unknown_field() if self.is_unknown_field() else self._mismatch())

    def _unknown_field(self) -> str:
        name = str(self.path[-1])
        names = list(dict.fromkeys(name for option in self.options for name in option.get("properties", ())))
        close = difflib.get_close_matches(name, names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"found unknown field {name!r}, expected {'one of: ' + ', '.join(names) if names else 'no field'}{hint}"

    def _mismatch(self) -> str:
        error = self.errors[0]
        found = "nothing" if self.kind in _ABSENT else _show(self.value)
        if error["loc"][-1:] == ("[key]",):
            found = f"the key {self.path[-1]!r}"
        elif re.search(_EXPLAINED, self.kind) and (words := _either(self.options)):
            return f"found {found}, expected {words}"
        elif self.kind in _ABSENT:
            return f"found {found}, expected a value"
        message = " ".join(str(error.get("ctx", {}).get("error", error["msg"])).split())
        if message.startswith("Input should be "):
            message = message.removeprefix("Input should be ").partition(", unable to parse")[0]
            return f"found {found}, expected {'a number ' if self.kind.startswith(("greater", "less")) else ''}{message}"
        return message if "found" in message else f"found {found}, but {message}"


class _QuietSchema(GenerateJsonSchema):
    """Describes what it can: a field without a JSON schema only makes a message less precise."""

    ignored_warning_kinds = {"skipped-choice"}  # noqa: RUF012

    def default_schema(self, schema: WithDefaultSchema) -> _Schema:
        return self.generate_inner(schema["schema"])

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> _Schema:
        return {}


def _findings(error: ValidationError, document: object, model: type[BaseModel]) -> list[_Finding]:
    """Return what pydantic found, by place in the document."""
    errors = []
    for details in error.errors(include_url=False):
        # pydantic reports a wrong discriminator at the mapping that holds it
        tag = (details["ctx"]["discriminator"].strip("'"),) if details["type"].startswith("union_tag") else ()
        errors.append((details["loc"] + tag, details))
    schema = model.model_json_schema(schema_generator=_QuietSchema)
    return _follow(errors, (), document, _options({"$defs": {}, **schema}))


def _follow(errors: list[_Located], path: _Path, value: Any, options: list[_Schema]) -> list[_Finding]:
    """Follow locations down the document; parts of them that are not in it are labels of a union's branches."""
    if here := [error for location, error in errors if not location]:
        return [_Finding(path, value, here[0]["type"], here, options)]
    groups: dict[str | int, list[_Located]] = {}
    for (part, *rest), error in errors:
        groups.setdefault(part, []).append((tuple(rest), error))
    findings, branches = [], []
    for part, group in groups.items():
        kind = "" if group[0][0] else group[0][1]["type"]
        if _holds(value, part) or kind in _ABSENT:
            child = value[part] if _holds(value, part) else None
            below = options if kind == "extra_forbidden" else _child(options, part)
            findings += _follow(group, (*path, part), child, below)
        else:
            labelled = [option for option in options if option.get("label") == part]
            branches.append(_follow(group, path, value, labelled or options))
    if telling := _telling_branch(branches, path, value):
        return findings + telling
    return (
        [*findings, _Finding(path, value, "union", [error for _, error in errors], options)] if branches else findings
    )


def _telling_branch(branches: list[list[_Finding]], path: _Path, value: object) -> list[_Finding]:
    """Return the findings of the branch that was evidently meant, if one was."""
    if len(branches) == 1:
        return branches[0]
    entered = [branch for branch in branches if any(f.path != path or f.kind in _JUDGED for f in branch)]
    entered.sort(key=len)
    fewest = len(entered) > 1 and isinstance(value, dict) and len(entered[0]) < len(entered[1])
    return entered[0] if len(entered) == 1 or fewest else []


def _holds(value: object, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _options(schema: _Schema) -> list[_Schema]:
    """Return the alternatives of a schema, each with its definitions and pydantic's label for it."""
    definitions = {"$defs": schema["$defs"]}
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _options({**schema["$defs"][name], **definitions, "label": schema.get("label") or name})
    tags = {reference: tag for tag, reference in schema.get("discriminator", {}).get("mapping", {}).items()}
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    nested = [_options({**branch, **definitions, "label": tags.get(branch.get("$ref"))}) for branch in branches]
    return [option for options in nested for option in options] if nested else [schema]


def _child(options: list[_Schema], part: str | int) -> list[_Schema]:
    found = []
    for option in options:
        if isinstance(part, int):
            child = dict(enumerate(option.get("prefixItems", ()))).get(part, option.get("items"))
        else:
            child = option.get("properties", {}).get(part, option.get("additionalProperties"))
        if isinstance(child, dict):
            found += _options({**child, "$defs": option["$defs"]})
    return found


def _words(option: _Schema) -> str:
    """Say in plain words what a schema allows."""
    if "const" in option or "enum" in option:
        return _either(map(_show, option.get("enum", [option.get("const")])))
    words = _NOUNS.get(option.get("type", ""), "")
    if option.get("type") == "array":
        items = option.get("prefixItems") or [option.get("items", {})]
        kinds = [kind for item in items for kind in _options({**item, "$defs": option["$defs"]})]
        words += f" of {plurals}" if (plurals := _either(map(_plural, kinds))) else ""
    if option.get("properties"):
        words += f" with {', '.join(option['properties'])}"
    limits = [f"{limit} {option[key]}" for key, limit in _LIMITS.items() if key in option]
    if "minItems" in option and option["minItems"] == option.get("maxItems"):
        limits = [f"of length {option['minItems']}"]
    return " ".join(filter(None, (words, " and ".join(limits))))


def _plural(option: _Schema) -> str:
    noun = _NOUNS.get(option.get("type", ""), "")
    return f"{noun.removeprefix('a ')}s" if noun.startswith("a ") and "enum" not in option else _words(option)


def _either(words: Iterable[str]) -> str:
    *others, last = dict.fromkeys(filter(None, words)) or [""]
    return f"{', '.join(others)} or {last}" if others else last


def _show(value: object) -> str:
    """Return a short form of a value, much as the document has it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "a mapping"
    text = f"[{', '.join(map(_show, value))}]" if isinstance(value, list) else repr(value)
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"a list of length {len(value)}" if isinstance(value, list) else f"{text[:_LONGEST_SHOWN]}..."


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
