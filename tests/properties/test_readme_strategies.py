"""The README's test with our strategies runs, passes on right code, and bites on wrong."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def snippet():
    text = README.read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- strategies -->\n```python\n(.*?)```", text, flags=re.DOTALL)
    return code


def run(code):
    namespace = {}
    exec(compile(code, "README.md", "exec"), namespace)
    namespace["test_the_score_is_that_of_the_oracle"]()


def test_the_snippet_passes():
    run(snippet())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("np.log(weights)", "np.log(np.ones_like(weights))"),
        ("/ sigma**2, right", "/ sigma, right"),
        ("alpha * mean", "mean"),
    ],
)
def test_the_snippet_fails_on_a_wrong_formula(right, wrong):
    assert right in snippet()
    with pytest.raises(AssertionError):
        run(snippet().replace(right, wrong))
