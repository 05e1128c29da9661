"""The JSON Schema of ``pidward.toml`` (draft 2020-12), for editors, made from the one table of keys.

What it calls valid may still be a mistake to ``pidward check``, which sees what keys say together; and a few odd
spellings that pidward takes, like a signal in small letters, it does not know.
"""

import tomllib
from itertools import combinations
from typing import Any

from pidward.config.names import MAX_NAME, split_command
from pidward.config.nodes import Array, Key, Named, Node, Table
from pidward.config.schema import ROOT, SERVICE
from pidward.config.values import Json, Kind

_SERVICE_NAME: Json = {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$", "maxLength": MAX_NAME}
_COMMAND_LINE: Json = {"type": "string", "pattern": r"^\s*([^%\s]|%[i%])([^%]|%[i%])*$"}


def json_schema() -> Json:
    """Make the schema of the whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pidward.toml",
        "description": "Configuration of pidward, a process supervisor.",
        **_of(ROOT),
        "$defs": {"service": _of_table(SERVICE)},
    }


def _of(node: Node) -> Json:
    match node:
        case Kind():
            return dict(node.json)
        case Array():
            return _of_array(node)
        case Table():
            return {"$ref": "#/$defs/service"} if node is SERVICE else _of_table(node)
        case Named():
            return _of_named(node)


def _of_array(array: Array) -> Json:
    item = _of(array.item)
    whole: Json = {"type": "array", "items": item}
    if array.at_least:
        whole["minItems"] = array.at_least
    if array.split is None:
        return whole
    return {"anyOf": [whole, _COMMAND_LINE if array.split is split_command else {"type": "string", **item}]}


def _of_table(table: Table) -> Json:
    properties = {name: _property(table, key) for key in table.keys.values() for name in (key.name, *key.aliases)}
    whole: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    if table.needs:
        whole["required"] = list(table.needs)
    if table.one_of:
        whole["allOf"] = [{"not": {"required": list(pair)}} for pair in combinations(table.one_of, 2)]
    if not table.shorthand:
        return whole
    short = _of(table.keys[table.shorthand].of)
    is_array = isinstance(table.keys[table.shorthand].of, Array)
    return {"anyOf": [whole, short if is_array else {**short, "type": "string"}]}


def _of_named(named: Named) -> Json:
    whole: Json = {"type": "object", "additionalProperties": _of(named.of)}
    if isinstance(named.of, Table) or named.listed:
        whole["propertyNames"] = _SERVICE_NAME
    if named.listed is None:
        return whole
    return {"anyOf": [whole, {"type": "array", "items": {"type": "string", **_SERVICE_NAME}}]}


def _property(table: Table, key: Key) -> Json:
    about: Json = {"description": key.about[0].upper() + key.about[1:] + "."}
    default = None if isinstance(key.of, Table | Named) else table.default(key)
    if default not in (None, (), ""):
        about["default"] = _value(key.of.show(default))  # type: ignore[union-attr]
    if key.example:
        about["examples"] = [_value(key.example)]
    return about | _of(key.of)


def _value(toml: str) -> Any:
    return tomllib.loads(f"value = {toml}")["value"]
