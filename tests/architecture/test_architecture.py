"""The rules of the source tree that a reader relies on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tenure
from tenure.features import schema  # noqa: F401  (importing registers the features)
from tenure.features.dictionary import dictionary
from tenure.features.spec import COMBINED, FACTORS, FEATURES, VIEWS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "tenure").rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION = 330, 60


@pytest.mark.parametrize("f", [*FEATURES.values(), *COMBINED.values()], ids=lambda f: f.name)
def test_every_feature_says_what_it_is(f):
    assert f.unit
    assert f.factor in FACTORS
    assert len(f.description) > 10
    assert f.description[0].isupper()
    assert f.direction in (-1, 0, 1)
    assert f.windows


def test_every_feature_reads_a_view():
    assert {f.view for f in FEATURES.values()} <= VIEWS.keys()


def test_the_dictionary_of_features_is_current():
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8") == dictionary()


def test_the_package_exports_few_names():
    assert len(getattr(tenure, "__all__", [])) <= 12


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_modules_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[1].lineno if len(node.body) > 1 else node.lineno
            code = (node.end_lineno or 0) - (start if ast.get_docstring(node) else node.lineno) + 1
            assert code <= LONGEST_FUNCTION, f"{node.name}: {code} lines"


def test_there_is_no_drawer_for_leftovers():
    assert not [p for p in SOURCES if p.stem in ("utils", "helpers", "misc", "common")]


def test_only_the_leak_proof_modules_compare_with_the_cutoff():
    """`snapshot` alone decides what was known; see its docstring."""
    for path in SOURCES:
        if path.name in ("snapshot.py", "audit.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                assert not any(side.endswith(".cutoff") for side in sides), f"{path}: {sides}"


def test_the_arrows_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_importing_the_command_line_loads_no_heavy_library():
    code = (
        "import sys, tenure.cli\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " & {'mlflow', 'lightgbm', 'pandas', 'sklearn', 'duckdb', 'shap'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"
