"""An example of what a schema takes: the one that examples.json has for its name (or for the operation), else made from the schema: what is
required, and as small as it may be."""
import json
import pathlib

PREFIX = "#/components/schemas/"
KEPT = json.loads((pathlib.Path(__file__).parent / "examples.json").read_text())
TEXTS = {"email": "erika@example.com", "uri": "https://example.com/", "date-time": "2027-05-04T17:00:00Z",
         "date": "2027-05-04", "uuid": "01890a5d-ac96-774b-bcce-b302099a8057", "ipv4": "192.0.2.1"}


def name_of(schema):
    ref = schema.get("$ref", "") if isinstance(schema, dict) else ""
    return ref[len(PREFIX):] if ref.startswith(PREFIX) else None


def of_text(schema):
    text = TEXTS.get(schema.get("format"), "text")
    while len(text) < schema.get("minLength", 0):
        text += " text"
    return text[:schema.get("maxLength", len(text))]


def of_object(schema, schemas):
    properties = schema.get("properties", {})
    return {n: of(properties.get(n, {}), schemas) for n in schema.get("required", []) if not properties.get(n, {}).get("readOnly")}


def of(schema, schemas):
    """A value; None where there is nothing to say."""
    if not isinstance(schema, dict):
        return None
    name = name_of(schema)
    if name:
        return KEPT[name] if name in KEPT else of(schemas[name], schemas)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            return of(schema[key][0], schemas)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or (kind is None and "properties" in schema):
        return of_object(schema, schemas)
    if kind == "array":
        return [of(schema.get("items", {}), schemas)] if schema.get("minItems", 0) else []
    return {"string": lambda: of_text(schema), "integer": lambda: schema.get("minimum", 1),
            "number": lambda: schema.get("minimum", 1), "boolean": lambda: False}.get(kind, lambda: None)()
