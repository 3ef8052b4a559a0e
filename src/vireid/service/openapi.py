"""The OpenAPI description of the REST interface, and an HTML page of it that loads nothing from other sites."""

from __future__ import annotations

import hashlib
import html
from base64 import b64encode
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vireid.gallery.schemas import AboutModel, IdsModel, SearchModel, VectorsModel, WhereModel

_REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (AboutModel, IdsModel, SearchModel, VectorsModel, WhereModel)

_STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
summary{cursor:pointer;padding:.3rem 0}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow:auto;padding:.6rem;border:1px solid #8886;border-radius:4px}
b.method{display:inline-block;min-width:3.5rem}
"""
STYLE_POLICY = f"style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a route whose body is JSON of this model."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(model)}}}}


def form_body(field: str, schema: dict[str, Any], largest: int, other: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return the description of a route whose body is a form (files ``images``, one JSON ``field``) or only JSON."""
    properties = {
        "images": {"type": "array", "maxItems": largest, "items": {"type": "string", "format": "binary"}},
        field: schema,
    }
    form = {
        "schema": {"type": "object", "properties": properties, "required": [field], "additionalProperties": False},
        "encoding": {field: {"contentType": "application/json"}},
    }
    content: dict[str, Any] = {"multipart/form-data": form}
    if other is not None:
        content["application/json"] = {"schema": _ref(other)}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, including the models of bodies that routes parse themselves."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    models = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_REF)[1]["$defs"]
    schema["components"]["schemas"].update(models)
    return schema


def page(schema: dict[str, Any]) -> str:
    """Return the description as one HTML page without scripts."""
    routes = "".join(
        _route(method, path, content)
        for path, methods in schema["paths"].items()
        for method, content in methods.items()
    )
    models = "".join(
        f"<details><summary><code>{name}</code> {_text(model.get('description', ''))}</summary>{_json(model)}</details>"
        for name, model in sorted(schema["components"]["schemas"].items())
    )
    title = _text(schema["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><p>{_text(schema['info']['description'])}</p>"
        f'<p><a href="openapi.json">openapi.json</a></p>{routes}<h2>Models</h2>{models}</html>'
    )


def _route(method: str, path: str, content: dict[str, Any]) -> str:
    parts: dict[str, Any] = {name: content[name] for name in ("parameters", "requestBody") if name in content}
    parts["responses"] = {status: answer for status, answer in content["responses"].items() if status.startswith("2")}
    summary = f'<b class="method">{method.upper()}</b> <code>{_text(path)}</code>'
    return f"<details><summary>{summary} {_text(content.get('description', ''))}</summary>{_json(parts)}</details>"


def _json(content: dict[str, Any]) -> str:
    import yaml

    return f"<pre>{_text(yaml.safe_dump(content, sort_keys=False, width=100))}</pre>"


def _text(words: str) -> str:
    return html.escape(words)


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
