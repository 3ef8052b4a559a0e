"""What MkDocs does for the site beside rendering docs/: it takes in what lies outside, and writes the reference.

The pages of docs/ are written for the repository, where a link leads to any file. Files outside docs/ that a page or
the navigation names become pages of the site; README.md is the first page. Every ``api/PACKAGE.md`` of the navigation
is written from the package's public names and their docstrings, ``api/index.md`` from those of ``import vireid``.
"""

from __future__ import annotations

import inspect
import json
import posixpath
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import vireid

ROOT = Path(__file__).parents[1]
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json"}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
_ORIGINS: dict[str, str] = {}
"""Address of a page in the site -> the file of the repository that it shows."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README.md, the files outside docs/ that pages and navigation name, and the reference."""
    _ORIGINS.clear()
    _ORIGINS.update({file.src_uri: f"docs/{file.src_uri}" for file in files.documentation_pages()})
    _ORIGINS["index.md"] = "README.md"
    pages, named = {"index.md": _text("README.md")}, set(re.findall(r"[\w./-]+\.md", str(config.nav)))
    waiting = [uri.removeprefix("files/") for uri in named if uri.startswith("files/")]
    waiting = [path if (ROOT / path).exists() else path.removesuffix(".md") for path in waiting]
    waiting += [found for path in _ORIGINS.values() for found in _links(path)]
    while waiting:
        path = waiting.pop()
        uri = f"files/{path.removesuffix('.md')}.md"
        if path.startswith("docs/") or path in _ORIGINS.values() or not (ROOT / path).is_file():
            continue
        _ORIGINS[uri], pages[uri] = path, _text(path)
        waiting += _links(path)
    packages = [uri[4:-3] for uri in sorted(named) if uri.startswith("api/") and uri != "api/index.md"]
    pages |= {f"api/{name}.md": _reference(f"vireid.{name}") for name in packages}
    pages["api/index.md"] = _overview()
    if missing := [name for package in packages for name in _undocumented(f"vireid.{package}")]:
        raise PluginError(f"public names without a docstring: {', '.join(missing)}")
    for uri, text in pages.items():
        inclusion = InclusionLevel.INCLUDED if uri in named else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, uri, content=text, inclusion=inclusion))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page, written for the repository, to the pages of the site."""
    uri = page.file.src_uri
    if uri not in _ORIGINS:
        return markdown
    here, sites = posixpath.dirname(_ORIGINS[uri]), {path: uri for uri, path in _ORIGINS.items()}

    def relinked(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match[1]))
        target = sites.get(path, path.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    return _LINK.sub(relinked, markdown)


def _links(path: str) -> list[str]:
    """Return the files that a Markdown file of the repository links to."""
    if not path.endswith(".md"):
        return []
    here = posixpath.dirname(path)
    return [posixpath.normpath(posixpath.join(here, target)) for target in _LINK.findall(_text(path))]


def _text(path: str) -> str:
    """Return a file of the repository as Markdown."""
    text, suffix = (ROOT / path).read_text(encoding="utf-8"), posixpath.splitext(path)[1]
    if suffix == ".md":
        return text
    if suffix == ".ipynb":
        return _notebook(text)
    return f"# {path}\n\n````{_LANGUAGES.get(suffix, 'text')}\n{text.rstrip()}\n````\n"


def _notebook(text: str) -> str:
    """Return a notebook with its stored output as Markdown."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            kind = next((kind for kind in ("image/jpeg", "image/png") if kind in data), "text/plain")
            shown = "".join(data[kind]).strip()
            parts.append(f"```text\n{shown}\n```" if kind == "text/plain" else f"![Output](data:{kind};base64,{shown})")
    return "\n\n".join(parts) + "\n"


def _names(module: ModuleType) -> list[str]:
    """Return the public names of a module: those it lists, else those it defines."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return list(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def _reference(package: str) -> str:
    module = import_module(package)
    names = "\n\n".join(f"::: {package}.{name}" for name in _names(module))
    return f"# {package}\n\n{inspect.getdoc(module)}\n\n{names}\n"


def _overview() -> str:
    """Return the names of ``import vireid`` by package, each with the first paragraph of its docstring."""
    parts = ["# import vireid", inspect.getdoc(vireid) or ""]
    for home in dict.fromkeys(vireid._HOMES.values()):
        parts.append(f"## [vireid.{home}]({home}.md)")
        for name in (name for name in vireid.__all__ if vireid._HOMES[name] == home):
            summary = (inspect.getdoc(getattr(vireid, name)) or "").partition("\n\n")[0].replace("\n", " ")
            parts.append(f"- [`{name}`]({home}.md#vireid.{home}.{name}): {summary}")
    return "\n\n".join(parts) + "\n"


def _undocumented(package: str) -> Iterator[str]:
    """Yield the public names of a package, and of their public methods and properties, that no docstring describes."""
    module, described = import_module(package), griffe.load(package, search_paths=[str(ROOT / "src")])
    for name in _names(module):
        found = described[name]
        found = found.final_target if isinstance(found, griffe.Alias) else found
        if not found.has_docstring:
            yield f"{package}.{name}"
        for member in found.members.values() if found.is_class else ():
            callable_or_property = member.is_function or "property" in member.labels
            if not callable_or_property or member.name.startswith("_"):
                continue
            if not inspect.getdoc(getattr(getattr(module, name), member.name)):  # a base may describe it
                yield f"{package}.{name}.{member.name}"
