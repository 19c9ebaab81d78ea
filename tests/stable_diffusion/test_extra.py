"""Without the extra "sd" the tests of this folder cannot be imported; this one says so."""

import importlib.util

import pytest


def test_the_extra_is_installed() -> None:
    if importlib.util.find_spec("diffusers") is None:
        pytest.skip("diffusers is not installed (pip install -e '.[sd]'): no other test of this folder ran")
