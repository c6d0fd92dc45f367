#!/usr/bin/python3
"""Checks docs/openapi.yaml and docs/asyncapi.yaml: that they parse, that every reference leads somewhere,
that every schema is JSON Schema 2020-12, and that every example is valid against its schema."""

import pathlib
import sys

import jsonschema
import yaml

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


class StrictLoader(yaml.SafeLoader):
    """Refuses duplicate keys, and leaves timestamps the texts that they are in JSON."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.YAMLError(f"duplicate key {key_node.value!r} {key_node.start_mark}")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", StrictLoader.construct_yaml_str)


def resolve(document, reference):
    """The value that `#/a/b` points to; LookupError when there is none."""
    if not reference.startswith("#/"):
        raise LookupError("only references into the same file are allowed")
    value = document
    for part in reference[2:].split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def walk(value, pointer=""):
    """Every mapping in the document with the place where it stands."""
    if isinstance(value, dict):
        yield pointer, value
        for key, member in value.items():
            yield from walk(member, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from walk(member, f"{pointer}/{index}")


def check_examples(document, pointer, mapping, schema, faults):
    examples = [mapping["example"]] if "example" in mapping else []
    for example in examples + list(mapping.get("examples", [])):
        whole = {"components": document.get("components", {}), **schema}
        for error in jsonschema.Draft202012Validator(whole).iter_errors(example):
            faults.append(f"{pointer}: the example does not fit: {error.json_path}: {error.message}")


def check_common(document):
    faults = []
    for pointer, mapping in walk(document):
        reference = mapping.get("$ref")
        if isinstance(reference, str):
            try:
                resolve(document, reference)
            except LookupError as error:
                faults.append(f"{pointer}: {reference} leads nowhere: {error}")
        if isinstance(mapping.get("schema"), dict):
            check_examples(document, pointer, mapping, mapping["schema"], faults)
    for name, schema in document["components"].get("schemas", {}).items():
        pointer = f"/components/schemas/{name}"
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            faults.append(f"{pointer}: no JSON Schema: {error.message}")
        for inner_pointer, inner in walk(schema, pointer):
            if isinstance(inner.get("examples"), list):
                check_examples(document, inner_pointer, inner, inner, faults)
    return faults


def check_operations(document):
    """Every operation has an id of its own, says what it answers, and names its path's parameters."""
    faults = []
    ids = set()
    for path, item in document["paths"].items():
        wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for method in METHODS & item.keys():
            operation = item[method]
            where = f"{method.upper()} {path}"
            if operation["operationId"] in ids:
                faults.append(f"{where}: the operationId is taken")
            ids.add(operation["operationId"])
            if not any(status.startswith("2") for status in operation["responses"]):
                faults.append(f"{where}: no success is described")
            parameters = item.get("parameters", []) + operation.get("parameters", [])
            resolved = [resolve(document, p["$ref"]) if "$ref" in p else p for p in parameters]
            named = {p["name"] for p in resolved if p["in"] == "path"}
            if named != wanted:
                faults.append(f"{where}: path parameters {sorted(named)}, the path has {sorted(wanted)}")
    return faults


def check_messages(document):
    """Every example of a message fits the schemas of its headers and its payload."""
    faults = []
    for name, message in document["components"]["messages"].items():
        for example in message["examples"]:
            for part in example.keys() & {"headers", "payload"}:
                pointer = f"/components/messages/{name}/{part}"
                check_examples(document, pointer, {"example": example[part]}, message[part], faults)
    return faults


def load(name):
    with open(DOCS / name, encoding="utf-8") as file:
        return yaml.load(file, StrictLoader)


def main():
    faults = []
    openapi = load("openapi.yaml")
    faults += [f"openapi.yaml: {fault}" for fault in check_common(openapi) + check_operations(openapi)]
    asyncapi = load("asyncapi.yaml")
    faults += [f"asyncapi.yaml: {fault}" for fault in check_common(asyncapi) + check_messages(asyncapi)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
