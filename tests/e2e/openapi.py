"""docs/openapi.yaml as a judge: does an answer keep what the description promises?"""

import re

import jsonschema
import yaml

from server import REPOSITORY

DESCRIPTION = REPOSITORY / "docs/openapi.yaml"
METHODS = ("get", "put", "post", "delete", "patch")
# What a documented path may answer besides its own statuses; the description calls it `default`.
PROTOCOL_STATUSES = {400, 405, 408, 413, 414, 415, 431, 501}


class Loader(yaml.SafeLoader):
    """Leaves timestamps the texts that they are in JSON."""


Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)


class Operation:
    """One documented call."""

    def __init__(self, path, method, content):
        self.id = content["operationId"]
        self.tags = content["tags"]
        self.path = path
        self.method = method.upper()
        self.content = content
        self.needs_token = content.get("security") != []
        self.takes_body = "requestBody" in content
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))
        self._pattern = re.compile(f"^{pattern}$")

    def matches(self, method, path):
        return method == self.method and self.matches_path(path)

    def matches_path(self, path):
        return self._pattern.match(path) is not None

    def statuses(self):
        return {int(status) for status in self.content["responses"] if status != "default"}


class Description:
    """Judges answers and remembers which ones it has seen."""

    def __init__(self):
        self.document = yaml.load(DESCRIPTION.read_text(), Loader)
        self.operations = [
            Operation(path, method, content)
            for path, calls in self.document["paths"].items()
            for method, content in calls.items() if method in METHODS]
        self.seen = set()

    def operation(self, operation_id):
        return next(operation for operation in self.operations if operation.id == operation_id)

    def check(self, answer):
        """Fails when the answer breaks the description. Answers to undocumented paths are not judged."""
        path = answer.request.path_url.partition("?")[0]
        # A path without parameters, such as /users/me, comes before one that would match it too.
        candidates = sorted((operation for operation in self.operations if operation.matches_path(path)),
                            key=lambda operation: operation.path.count("{"))
        if not candidates:
            return
        method = answer.request.method
        operation = next((operation for operation in candidates if operation.matches(method, path)), None)
        if operation is None:
            response = candidates[0].content["responses"]["default"]
            name = f"{method} {path}"
        else:
            self.seen.add((operation.id, answer.status_code))
            responses = operation.content["responses"]
            assert str(answer.status_code) in responses or answer.status_code in PROTOCOL_STATUSES, (
                f"{operation.id}: the status {answer.status_code} is not documented: {answer.text}")
            response = responses.get(str(answer.status_code), responses["default"])
            name = operation.id
        self._check_response(f"{name} ({answer.status_code})", answer, self._resolve(response))

    def _check_response(self, name, answer, response):
        for header, described in response.get("headers", {}).items():
            described = self._resolve(described)
            if header in answer.headers:
                self._validate(f"{name}, header {header}", answer.headers[header], described["schema"])
            else:
                assert not described.get("required"), f"{name}: the header {header} is missing"
        content = response.get("content")
        if content is None:
            assert answer.content == b"", f"{name}: a body that is not documented: {answer.text}"
            return
        media_type = answer.headers["Content-Type"].partition(";")[0].strip()
        assert media_type in content, f"{name}: the content type {media_type} is not documented"
        body = answer.json() if media_type.endswith("json") else answer.text
        self._validate(name, body, content[media_type]["schema"])

    def _validate(self, name, value, schema):
        whole = {"components": self.document["components"], **schema}
        validator = jsonschema.Draft202012Validator(
            whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        assert not faults, f"{name} does not fit the description: {faults}; it is {value}"

    def _resolve(self, value):
        while "$ref" in value:
            target = self.document
            for part in value["$ref"][2:].split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            value = target
        return value
