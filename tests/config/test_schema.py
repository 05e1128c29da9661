"""The JSON Schema and pidward agree: what the one calls valid the other takes, as far as a schema can tell."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pidward.config.document import example
from pidward.config.errors import ConfigError
from pidward.config.jsonschema import json_schema
from pidward.config.load import parse
from tests.config import test_contradictions, test_mistakes

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SERVICE = SCHEMA["$defs"]["service"]
PAGES = [Path(__file__).parents[2] / "docs" / "configuration.md", *(Path(__file__).parents[2].glob("docs/**/*.md"))]
EXAMPLES = [text for page in PAGES for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)]


def refusals(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_in_one_file() -> None:
    assert refusals(example()) == []


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "[service" in text])
def test_examples_in_the_documentation(text: str) -> None:
    assert refusals(text) == []


def properties(schema: Any, path: str = "") -> list[Any]:
    found = []
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if "description" in inner:  # else part of a single value that may be written as a table
                found.append(pytest.param(inner, id=f"{path}.{name}"))
        for name, inner in schema.items():
            found += properties(inner, f"{path}.{name}".replace(".properties", ""))
    if isinstance(schema, list):
        found += [param for inner in schema for param in properties(inner, path)]
    return found


@pytest.mark.parametrize("schema", properties(SCHEMA))
def test_defaults_and_examples_are_valid(schema: Any) -> None:
    assert schema["description"].endswith(".")
    validator = Draft202012Validator(schema | {"$defs": SCHEMA["$defs"]})
    for value in [*schema.get("examples", []), *([schema["default"]] if "default" in schema else [])]:
        validator.validate(value)


MISTAKES = test_contradictions.pairs(test_contradictions.IN_A_SERVICE) + test_mistakes.pairs(test_mistakes.IN_A_SERVICE)
OF_FORM = [
    keys for keys, message in MISTAKES if re.search(r": (unknown key|excludes|expected |needs \w+$)", message)
    and not re.search("host|ready.tcp|alive.tcp|ready.http:|PORT|on_demand|cron|1\\.0", message)
]  # fmt: skip


@pytest.mark.parametrize("keys", OF_FORM)
def test_it_refuses_what_has_the_wrong_form(keys: str) -> None:
    assert refusals(f"[service.web]\ncommand = 'x'\n{keys.replace(' // ', chr(10))}\n") != []


@pytest.mark.parametrize(
    "text", ["x = 1", "[pidward]\nx = 1", "[service.'a b']", "[defaults]\nworkers = 'a'", "[group.g]\nthen = 'slow'"]
)
def test_it_refuses_wrong_files(text: str) -> None:
    assert refusals(text) != []


CHARACTERS = st.characters(exclude_categories=["Cs"])


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Values that a schema takes, or nearly: whoever draws must look again."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        shared = {key: value for key, value in schema.items() if key not in ("anyOf", "description", "examples")}
        return st.one_of([values(shared | inner) for inner in schema["anyOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([of_type(kind, schema) for kind in kinds])


def of_type(kind: str, schema: Any) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    match kind:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(low if low is not None else -(2**63), high if high is not None else 2**63 - 1)
        case "number":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "string":
            return st.from_regex(re.compile(schema.get("pattern", ".*")), fullmatch=True, alphabet=CHARACTERS)
        case "array":
            return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
    if "properties" not in schema:
        return st.dictionaries(st.sampled_from(["A", "b-c"]), values(schema["additionalProperties"]), max_size=2)
    needed = {name: values(schema["properties"][name]) for name in schema.get("required", ())}
    others = {name: values(inner) for name, inner in schema["properties"].items() if name not in needed}
    some = st.sets(st.sampled_from(sorted(others)), max_size=2) if others else st.just(set[str]())
    return some.flatmap(lambda names: st.fixed_dictionaries(needed | {name: others[name] for name in names}))


def toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


INEXACT = re.compile(
    r"\.(http|tcp|cron|health|listen|host)\b|httpGet|sockets|httpHeaders|cannot split|no service|too large|field"
)
"""Where a schema has only the rough form: addresses, URLs, cron expressions, and quotes."""


@pytest.mark.parametrize("name", sorted(SERVICE["properties"]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_it_calls_valid_has_no_mistake_of_form(name: str, data: st.DataObject) -> None:
    schema = SERVICE["properties"][name]
    value = data.draw(values(schema))
    assume(Draft202012Validator(schema).is_valid(value))
    text = f"[service.web]\ncommand = 'x'\n{name} = {toml(value)}\n"
    if name == "command":
        text = text.replace("command = 'x'\n", "")
    try:
        parse(text, "f")
    except ConfigError as error:
        for problem in error.problems:
            if not INEXACT.search(str(problem)):
                assert not re.match("expected|unknown|needs [^e]", problem.message), problem
