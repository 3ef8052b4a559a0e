"""The worked examples of docs/protocols.md are true."""

from __future__ import annotations

import doctest

from tests.pages import blocks, read_page
from vireid.evaluation import RULES

PAGE = "protocols.md"


def test_every_example_of_the_protocols_page_runs() -> None:
    examples = blocks(read_page(PAGE), "pycon")
    for protocol in RULES:
        assert any(f'score("{protocol}"' in block for block in examples)
    example = doctest.DocTestParser().get_doctest("\n".join(examples), {}, PAGE, PAGE, 0)
    runner = doctest.DocTestRunner()
    said: list[str] = []
    runner.run(example, out=said.append)
    assert runner.tries > 20
    assert runner.failures == 0, "".join(said)
