"""The OpenAPI description: FastAPI's own, with the bodies that are read by hand, and problems as errors."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from service.dialects import EmbeddingsRequest, RerankRequest
from service.web.access import needed
from service.web.examples import EXAMPLES, PARAMETERS
from service.web.problems import as_responses
from service.wire import ArticleIn, FetchRequest, Problem, QuestionRequest, SearchRequest, SimilarRequest

_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` complete."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            description = plain()
            add_schemas(description)
            app.openapi_schema = description
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]  # how FastAPI's documentation says to extend it


def body(*names: str) -> dict[str, Any]:
    """Return the `requestBody` of a route: a shape by name, and `list` where a list of it may come too."""
    one = {"$ref": _REF.format(model=names[0])}
    schema = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]} if "list" in names[1:] else one
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def raw(media_type: str) -> dict[str, Any]:
    """Return the `requestBody` of a route that takes bytes as they are."""
    schema = {"type": "string", "format": "binary"}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def add_schemas(description: dict[str, Any]) -> None:
    """Add the schemas of what is read by hand, and let every operation answer errors with a problem."""
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    _, defined = models_json_schema(
        [
            (ArticleIn, "validation"),
            (FetchRequest, "validation"),
            (QuestionRequest, "validation"),
            (SearchRequest, "validation"),
            (SimilarRequest, "validation"),
            (EmbeddingsRequest, "validation"),
            (RerankRequest, "validation"),
            (Problem, "serialization"),
        ],
        ref_template=_REF,
    )
    schemas.update(defined["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    description["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for template, path in description["paths"].items():
        for method, operation in path.items():
            responses = operation["responses"]
            operation["summary"] = operation["description"].partition("\n")[0].rstrip(".")
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if known := PARAMETERS.get(f"{operation['operationId']}.{name}", PARAMETERS.get(name)):
                    parameter["example"] = known[0]
                    parameter.setdefault("description", known[1])
            if (scope := needed(method.upper(), template)) is not None:
                operation["security"] = [{"key": []}, {}]  # or none, where keys are off
                operation["description"] += f"\n\nNeeds a key of scope `{scope}` where keys are on."
                responses.update({str(code): each for code, each in as_responses(401, 403, 429).items()})
            if "422" in responses:
                responses["422"] = as_responses(422)[422]
            responses.setdefault("500", as_responses(500)[500])
            for each in [operation.get("requestBody", {}), *responses.values()]:
                for content in each.get("content", {}).values():
                    if (example := _example(content["schema"], schemas)) is not None:
                        content["example"] = example


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the first example of the shape that a schema names; None where it names none."""
    named = schema.get("$ref") or next((each["$ref"] for each in schema.get("anyOf", ()) if "$ref" in each), "")
    examples = schemas.get(named.rpartition("/")[2], {}).get("examples")
    return examples[0] if examples else None
