"""A browser of the system: Debian's chromium, driven by Playwright, which downloads none of its own."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def launch(driver):
    """Return the system's chromium, started."""
    return driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH to open the pages in")
    playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
    with playwright.sync_playwright() as driver:
        browser = launch(driver)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a file; afterwards nothing may have been fetched, refused, thrown or logged."""
    contexts, complaints = [], []

    def open_page(path, fragment="", **options):
        context = browser.new_context(viewport={"width": 1200, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        document = path.as_uri()

        def on_request(request):
            if request.url.split("#")[0] != document and not request.url.startswith(("blob:", "data:")):
                complaints.append(f"requested {request.url}")

        page.on("request", on_request)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(document + fragment)
        if page.locator("script:not([type])").count():
            page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
