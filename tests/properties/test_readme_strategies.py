"""The README's test with our strategies runs, passes on right code, and bites on wrong."""

import importlib.util
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def snippet():
    text = README.read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- strategies -->\n```python\n(.*?)```", text, flags=re.DOTALL)
    return code


def run(code, folder):
    file = folder / "test_of_a_reader.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location("test_of_a_reader", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_the_score_is_that_of_the_oracle()


def test_the_snippet_passes(tmp_path):
    run(snippet(), tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("np.log(weights)", "np.log(np.ones_like(weights))"),
        ("/ sigma**2, right", "/ sigma, right"),
        ("alpha * mean", "mean"),
    ],
)
def test_the_snippet_fails_on_a_wrong_formula(right, wrong, tmp_path):
    assert right in snippet()
    # Without shrinking what was found: that takes a minute on a slow machine, and is not the point.
    quick = "deadline=None, phases=[__import__('hypothesis').Phase.generate]"
    with pytest.raises(AssertionError):
        run(snippet().replace(right, wrong).replace("deadline=None", quick), tmp_path)
