"""Typesets LaTeX as MathML, which browsers show by themselves: no script, no font, no network."""

import html
import re

from latex2mathml.converter import convert
from markupsafe import Markup

_ALLOWED = re.compile(r"</?(?:m[a-z]+)(?:\s+[a-z]+=\"[^\"<>]*\")*\s*/?>|<math[^<>]*>|</math>")


def typeset(latex: str, *, display: bool = True) -> Markup:
    """Render a formula.

    Parameters
    ----------
    latex : str
        A formula of the catalogue.
    display : bool
        On a line of its own rather than in the running text.

    Returns
    -------
    Markup
        A ``<math>`` element with the LaTeX as its alternative text; nothing but elements of MathML is in it.

    Raises
    ------
    ValueError
        If the converter returned anything else, or left a command as it was.
    """
    markup = convert(latex, display="block" if display else "inline")
    text = _ALLOWED.sub("", markup)
    if "<" in text or "\\" in text:
        raise ValueError(f"not pure MathML, or a command that is not known, in {latex!r}: {text!r}")
    return Markup(markup.replace("<math ", f'<math alttext="{html.escape(latex)}" ', 1))  # noqa: S704 - checked above
