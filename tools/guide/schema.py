# SPDX-License-Identifier: Apache-2.0
"""JSON Schema of a spec, for editors, from the program's table of keys.

It accepts every spec that the program accepts. Conditions between keys, and those that the table has as
text only (distinct, not 0), are left to the program.
"""
import re

TRUTHS = ("false", "true")  # unquoted, YAML reads them as no text
ALIASES = ["silu"]  # of activations: read like the names, but not listed by --help


def schema(tables):
    keys = {key["path"]: key for key in tables["spec"]}
    made = optional_where_swept(mapping(keys, ""))
    return {"$schema": "http://json-schema.org/draft-07/schema#",
            "title": f"Spec of a sweep for escapement {tables['version']}", **made}


def optional_where_swept(made):
    """A key that sweep.grid or sweep.zip varies need not be in its section."""
    sections = {name: part.pop("required") for name, part in made["properties"].items()
                if name != "sweep" and "required" in part}
    grid = {"required": ["sweep"],
            "properties": {"sweep": {"anyOf": [{"required": ["grid"]}, {"required": ["zip"]}]}}}
    strict = {"properties": {name: {"required": keys} for name, keys in sections.items()}}
    top = [name for name in made.get("required", []) if name not in sections]
    strict["required"] = made.get("required", [])
    return {**made, "required": top, "if": grid, "then": {}, "else": strict}


def below(keys, prefix):
    """{name: key} of the keys directly below the prefix "train."."""
    names = {path[len(prefix):]: key for path, key in keys.items() if path.startswith(prefix)}
    return {name: key for name, key in names.items() if name and not re.search(r"[.\[]", name)}


def is_required(keys, key):
    """Whether the key, or one within a section, has no default."""
    if key["type"] == "section" and "list" not in key["shapes"]:
        return any(is_required(keys, k) for k in below(keys, key["path"] + ".").values())
    return key["default"] is None and key["default_rule"] is None


def mapping(keys, prefix):
    names = below(keys, prefix)
    made = {"type": "object", "additionalProperties": False,
            "properties": {name: described(keys, key) for name, key in names.items()}}
    required = [name for name, key in names.items() if is_required(keys, key)]
    return {**made, "required": required} if required else made


def described(keys, key):
    unit = f" ({key['unit']})" if key["unit"] else ""
    default = key["default"] or key["default_rule"]
    text = f"{key['help']}{unit}\n{key['allowed']}" + (f"\ndefault: {default}" if default else "")
    return {"description": text, **any_of(shapes(keys, key))}


def shapes(keys, key):
    """One schema for each form that the value may have."""
    limits = {"minItems": key["min_items"], "maxItems": key["max_items"]} if key.get("max_items") else {}
    one = element(keys, key)
    listed = {"type": "array", "items": one, **limits}
    made = {"one": one, "list": listed, "rows": {"type": "array", "items": {"type": "array", "items": one}},
            "mapping": mapping(keys, key["path"] + ".") if "mapping" in key["shapes"] else None}
    return [made[shape] for shape in key["shapes"]]


def any_of(schemas):
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def element(keys, key):
    kind = key["type"]
    if kind == "section":
        return mapping(keys, key["path"] + ("[]." if "list" in key["shapes"] else "."))
    if kind == "mapping":
        span = {"type": "object", "additionalProperties": False, "required": ["from", "to", "count"],
                "properties": {name: {"type": "number"} for name in ("from", "to", "count")}}
        return {"type": "object", "minProperties": 1,
                "additionalProperties": any_of([{"type": "array", "minItems": 1}, span])}
    if kind == "word":
        return {"enum": key["values"] + [word == "true" for word in key["values"] if word in TRUTHS]}
    if kind == "activation":
        return any_of([{"enum": [v for v in key["values"] if ":" not in v]},
                       {"type": "string", "pattern": activation_pattern(key["values"])}])
    if kind == "text":
        return {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": int(key["upper"])}
    number = {"type": "integer" if kind == "integer" else "number", **bounds(key)}
    return any_of([number, {"enum": key["values"]}]) if key["values"] else number


def bounds(key):
    made = {}
    if key["lower"] is not None:
        made["minimum" if key["lower_allowed"] else "exclusiveMinimum"] = key["lower"]
    if key["upper"] is not None:
        made["maximum" if key["upper_allowed"] else "exclusiveMaximum"] = key["upper"]
    return made


def activation_pattern(values):
    """The names in either case, and those with coefficients."""
    either = lambda word: "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in word)
    plain = "|".join(either(v) for v in [*values, *ALIASES] if ":" not in v)
    listed = "|".join(either(v.partition(":")[0]) for v in values if ":" in v)
    return f"^({plain})$|^({listed}):"
