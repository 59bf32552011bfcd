"""Checks decoded JSON against a JSON Schema: the part of the language that boards/schema.json uses.

Every finding names its place and what would be right. Stricter than the standard in one thing: 1.0 and true are no
whole numbers. An unknown keyword of a schema is an error of ours: nothing may only seem to be checked.
"""

import json

_NOUNS = {"string": "text", "object": "an object", "array": "a list", "integer": "a whole number",
          "boolean": "true or false", "null": "null"}
_TYPES = {"string": str, "object": dict, "array": list, "integer": int, "boolean": bool, "null": type(None)}
_KNOWN = {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "properties", "required",
          "additionalProperties", "items", "$ref", "$defs", "$schema", "title", "description"}


def findings(value, schema, needs_all=True):
    """[(place, sentence)]; the sentence starts with the place. needs_all=False: nothing at the top is required."""
    found = []
    _check(value, schema, schema, "", needs_all, found)
    return found


def _check(value, schema, root, place, needs_all, found):
    while "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]],
                  **{key: part for key, part in schema.items() if key != "$ref"}}
    unknown = [key for key in schema if key not in _KNOWN and not key.startswith("x-")]
    assert not unknown, f"the schema uses {unknown}, which is not checked here"
    problem = _problem(value, schema)
    if problem:
        found.append((place, f"{place or 'the board'} must be {problem}, not {_short(value)}"))
    elif isinstance(value, dict):
        _check_object(value, schema, root, place, needs_all, found)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check(item, schema.get("items", {}), root, f"{place}[{i}]", True, found)


def _check_object(value, schema, root, place, needs_all, found):
    prefix = f"{place}." if place else ""
    known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, part in value.items():
        if name in known:
            _check(part, known[name], root, prefix + name, True, found)
        elif more is False:
            names = ", ".join(prefix + each for each in known)
            found.append((prefix + name, f"there is no {prefix}{name}; known are {names}"))
        else:
            _check(part, more, root, prefix + name, True, found)
    for name in schema.get("required", ()) if needs_all else ():
        if name not in value:
            found.append((prefix + name, f"{prefix}{name} is missing; it must be {_wish(known.get(name, {}), root)}"))


def _problem(value, schema):
    """What the value should have been, or None."""
    if "type" in schema and not any(_is(value, name) for name in _listed(schema["type"])):
        return _wish(schema)
    if "enum" in schema and value not in schema["enum"]:
        return _wish(schema)
    if _is(value, "integer") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return _wish(schema)
    if isinstance(value, str) and not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return f"{schema.get('minLength', 0)} to {schema.get('maxLength', 'any number of')} characters long"
    return None


def _is(value, name):
    return isinstance(value, _TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def _listed(value):
    return value if isinstance(value, list) else [value]


def _wish(schema, root=None):
    if "$ref" in schema and root:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"])
    text = " or ".join(_NOUNS[name] for name in _listed(schema.get("type", [])))
    if "minimum" in schema:
        text = text.replace("a whole number", f"a whole number from {schema['minimum']} to {schema['maximum']}")
    return text or "there"


def _short(value):
    return json.dumps(value)[:40]
