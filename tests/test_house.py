"""One word, one meaning: these words of the field name one class or function each."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vireid"
WORDS = ("Method", "Search", "Report", "Metrics", "Job", "Added", "Picture", "Vectors", "Answer", "summarise", "Model",
         "settings", "Evaluation", "Result", "Ranking", "Features", "Dataset", "Embedder", "Gallery")  # fmt: skip


def homes() -> dict[str, list[str]]:
    """Modules by the public classes, functions and type aliases that are defined at their top."""
    found = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name].append(path.name)
            elif isinstance(node, ast.Assign) and not _is_type_variable(node.value):
                for target in node.targets:
                    found[ast.unparse(target)].append(path.name)
    return found


def _is_type_variable(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "TypeVar"


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_field_names_one_thing(word: str) -> None:
    assert len(homes().get(word, [])) <= 1, homes()[word]


def test_functions_and_files_stay_short() -> None:
    long = []
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        if len(text.splitlines()) > 350:
            long.append(f"{path.name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                long += [f"{path.name}: {node.name} has {lines} lines"] if lines > 80 else []
    assert long == []
