"""The worked examples of docs/protocols.md are true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from vireid.evaluation import RULES

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"


def test_every_example_of_the_protocols_page_runs() -> None:
    text = PAGE.read_text()
    blocks = re.findall(r"```pycon\n(.*?)```", text, flags=re.DOTALL)
    for protocol in RULES:
        assert any(f'score("{protocol}"' in block for block in blocks)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner()
    said: list[str] = []
    runner.run(example, out=said.append)
    assert runner.tries > 20
    assert runner.failures == 0, "".join(said)
