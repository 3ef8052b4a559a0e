"""The finder of plug-ins on entry points that importlib.metadata reads from real dist-info folders."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from vireid.plugins import build, check_embedded, find, is_reference, known_names
from vireid.types import VireidError

BUILTIN = {"counter": "collections:Counter", "dictionary": dict}
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a package importable with entry points of vireid.losses: name of the package, its code, the points."""

    def installer(package: str, code: str, **points: str) -> None:
        site = tmp_path / package
        (site / f"{package}-1.dist-info").mkdir(parents=True)
        (site / f"{package}.py").write_text(code)
        (site / f"{package}-1.dist-info" / "METADATA").write_text(f"Name: {package}\nVersion: 1\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (site / f"{package}-1.dist-info" / "entry_points.txt").write_text(f"[vireid.losses]\n{lines}")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return installer


def found(name: str) -> Any:
    def is_mapping(thing: Any) -> bool:
        return isinstance(thing, type) and issubclass(thing, dict)

    return find("loss", name, BUILTIN, f"loss.{name}", expected="a class derived from dict", accepts=is_mapping)


def error_of(name: str) -> str:
    with pytest.raises(VireidError) as caught:
        found(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_name_is_built_in_or_a_reference_or_an_entry_point(install: Install) -> None:
    install("mappings", "class Mine(dict):\n    pass\n", mine="mappings:Mine", typed="mappings:Mine [extra]")
    import mappings  # type: ignore[import-not-found]

    assert found("counter").__name__ == "Counter"
    assert found("dictionary") is dict
    assert found("collections:OrderedDict").__name__ == "OrderedDict"
    assert found("mine") is found("typed") is found("mappings:Mine") is mappings.Mine
    assert {"counter", "dictionary", "mine", "typed"} <= set(known_names("loss", BUILTIN))
    assert "mine" not in known_names("method", BUILTIN)


def test_a_built_in_name_cannot_be_taken_over(install: Install) -> None:
    install("taker", "raise RuntimeError('imported')", counter="taker:Mine")
    assert found("counter").__name__ == "Counter"


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    install("first", "class Mine(dict): pass", mine="first:Mine")
    assert found("mine").__module__ == "first"
    install("second", "class Mine(dict): pass", mine="second:Mine")
    assert error_of("mine") == ("loss.mine: two installed packages offer mine; choose one as package.module:Class")
    assert found("second:Mine").__module__ == "second"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "countr",
            r"unknown loss countr; expected one of counter, dictionary.*, or package.module:Class; did you mean ",
        ),
        ("../x:y", r"unknown loss ../x:y; expected one of .*"),
        ("a b:C", r"unknown loss a b:C; expected one of .*"),
        ("no_such_module:X", r"cannot import no_such_module \(ModuleNotFoundError: .*\); fix that module or install "),
        (
            "collections:Countr",
            r"collections has no Countr; expected the name of a class in it; did you mean Counter\?",
        ),
        ("os:getcwd", r"os:getcwd is a builtin_function_or_method; expected a class derived from dict"),
        ("decimal:Decimal", r"decimal:Decimal is a class derived from object; expected a class derived from dict"),
    ],
)
def test_what_cannot_be_found_is_one_line(name: str, message: str) -> None:
    assert re.match(rf"loss\.{re.escape(name)}: {message}", error_of(name))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('two\\nlines')", r"\(RuntimeError: two lines\)"),
        ("class X(:\n", r"\(SyntaxError: "),
        ("import sys; sys.exit(3)", r"\(SystemExit: 3\)"),
        ("import missing_dependency", r"\(ModuleNotFoundError: No module named 'missing_dependency'\)"),
    ],
)
def test_a_module_that_fails_is_one_line(install: Install, code: str, message: str) -> None:
    install("broken", code, broken="broken:Mine")
    for name in ("broken", "broken:Mine"):
        assert re.match(rf"loss\.{name}: cannot import broken {message}", error_of(name))


def test_a_run_folder_may_name_only_what_is_installed_or_trusted(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("offered", f"open({str(tmp_path / 'imported')!r}, 'w')", mine="offered:Mine")
    for names in (["mine", "counter", "nobody"], ["offered:Mine"], ["vireid.losses:HeteroCenterTriplet"]):
        check_embedded("loss", names, "run.json")
    for name in ("offered:Other", "os:system", "subprocess:Popen", "os.path:join", "vireid_evil:Mine"):
        with pytest.raises(
            VireidError, match=rf"^run\.json: {name} is code that no installed package offers"
        ) as caught:
            check_embedded("loss", [name], "run.json")
        assert f"set VIREID_TRUST={name.split(':')[0].split('.')[0]} or" in str(caught.value)
    with pytest.raises(VireidError, match=r"entry point of vireid\.methods"):
        check_embedded("method", ["offered:Mine"], "run.json")  # offered as something else
    monkeypatch.setenv("VIREID_TRUST", "first, offered,os.path")
    check_embedded("loss", ["offered:Other", "offered.deep:X", "os.path:join"], "run.json")
    for name in ("os:system", "offered2:X"):
        with pytest.raises(VireidError, match=name):
            check_embedded("loss", [name], "run.json")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a:B", True), ("a.b_1:C", True), ("ä.b:C", True), ("a", False), ("a.b", False), (":B", False), ("a:", False)]
    + [("a:B.c", False), ("a:B:C", False), (".a:B", False), ("a..b:C", False), ("1a:B", False), ("a/b:C", False)],
)
def test_the_form_of_a_reference(name: str, is_one: bool) -> None:
    assert is_reference(name) is is_one


class Thing:
    """What `build` makes in the tests."""

    def __init__(
        self,
        given: str,
        *,
        size: Annotated[int, Field(ge=1)],
        sides: tuple[float, ...] = (),
        label: str | None = None,
    ) -> None:
        if label == "bad":
            raise RuntimeError("no\nsuch label")
        if label == "worse":
            raise VireidError("thing: worse")
        self.values = (given, size, sides, label)


def made(**options: Any) -> Any:
    return build(Thing, options, "thing", "given")


def test_options_are_checked_and_given_by_keyword() -> None:
    assert made(size=2, sides=[1, 2.5]).values == ("given", 2, (1.0, 2.5), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "thing.size: missing; give this option a value"),
        ({"size": 0}, "thing.size=0: input should be greater than or equal to 1"),
        ({"size": True}, "thing.size=true: input should be a valid integer"),
        ({"size": "2"}, 'thing.size="2": input should be a valid integer'),
        ({"size": 1, "sides": [1, "x"]}, r'thing.sides=\[1, "x"\]: input should be a valid number'),
        ({"size": 1, "sides": float("nan")}, "thing.sides=NaN: "),
        ({"size": 1, "sdies": []}, r"thing.sdies: unknown option; expected one of size, .*; did you mean sides\?"),
        ({"size": 1, "given": "x"}, "thing.given: unknown option; expected one of size, sides, label"),
        ({"size": 1, "label": "bad"}, "thing: RuntimeError: no such label; change its options or fix its code"),
        ({"size": 1, "label": "worse"}, "thing: worse"),
    ],
)
def test_bad_options_are_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(VireidError, match=f"^{message}") as caught:
        made(**options)
    assert "\n" not in str(caught.value)


def test_an_annotation_that_cannot_be_checked_is_one_line() -> None:
    def broken(*, size: "Undefined") -> None:  # type: ignore[name-defined] # noqa: F821, UP037
        pytest.fail("called")

    def bare(*, size) -> None:  # type: ignore[no-untyped-def]
        pytest.fail("called")

    for factory in (broken, bare):
        with pytest.raises(VireidError, match=r"^thing\.size: its annotation cannot be checked \(\w+: .*\); fix it in"):
            build(factory, {"size": 1}, "thing")
