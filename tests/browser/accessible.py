"""What axe finds in a page. ``python -m tests.browser.accessible PAGE.html ...`` looks at whole pages, in both themes.

The tests look at a few of each kind of repeated element, since axe takes half a minute for a page of some thousands.
"""

import sys
from pathlib import Path

import pytest

THIN = """() => {
  const keep = (most, list) => [...list].slice(most).forEach((element) => element.remove());
  for (const body of document.querySelectorAll("tbody")) keep(2, body.rows);
  for (const table of document.querySelectorAll("table.matrix")) keep(4, table.tBodies);
  for (const part of document.querySelectorAll("section, ul, ol, select, .plots")) {
    for (const kind of ["p", "li", "option", "figure", "details.check"]) {
      keep(2, part.querySelectorAll(`:scope > ${kind}`));
    }
  }
  for (const svg of document.querySelectorAll("svg")) keep(4, svg.querySelectorAll("*"));
  keep(2, document.querySelectorAll("math"));
  keep(2, document.querySelectorAll("section.adapter"));
}"""


def violations(page, *, thin=True, rules=None):
    """Return what axe finds, by all rules or by some: the rule, its impact, the element, and what to do."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the test extra is not installed")
    if thin:
        page.evaluate(THIN)
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        (entry["id"], entry["impact"], node["html"][:200], node["failureSummary"])
        for entry in found
        for node in entry["nodes"]
    ]


def main(paths):
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import launch

    total = 0
    with sync_playwright() as driver:
        browser = launch(driver)
        for path in paths:
            for scheme in ("light", "dark"):
                page = browser.new_page(color_scheme=scheme)
                page.goto(Path(path).resolve().as_uri())
                found = violations(page, thin=False)
                page.close()
                total += len(found)
                print(f"{path} ({scheme}): {len(found)} violations", *found, sep="\n  ")
        browser.close()
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
