"""Every notebook runs from top to bottom, defines nothing of its own, and carries no outputs."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def _code(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [c for c in cells if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_runs_and_holds_no_outputs(path: Path) -> None:
    cells = _code(path)
    assert cells
    names: dict[str, object] = {}
    for cell in cells:
        assert not cell["outputs"]
        source = "".join(cell["source"])
        tree = ast.parse(source)
        defined = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        assert not defined, "notebooks import the package and define nothing"
        exec(compile(tree, path.name, "exec"), names)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
