"""The report in a real browser: it loads, filters, opens, draws, can be used by all, and runs nobody else's text."""

import dataclasses
from pathlib import Path

import pytest

from afi_verify.report import view
from afi_verify.report.landing import write_landing
from afi_verify.report.study import Section, Study, Table, write_study
from afi_verify.results import AdapterResult, Counterexample, FormulaMargin, Problem, Results, Verdict
from tests.browser import pages
from tests.browser.accessible import violations
from tests.browser.payloads import PAYLOADS


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return pages.write(pages.a_run("one", "two"), tmp_path_factory.mktemp("report") / "index.html")


def until(page, expression):
    # Not page.wait_for_function: it evaluates text in the page again, which the policy of the page forbids.
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def shown(page):
    return [element.get_attribute("id") for element in page.locator("details.check[id]:visible").all()]


def test_the_overview_answers_and_leads_to_the_failing_check(open_page, report):
    page = open_page(report)
    assert page.locator("h1").inner_text() == "Not right: 4 of 10 checks failed."
    step = page.locator(".steps li").first
    assert "equals the truth times σ²" in step.inner_text()
    assert "Returned 2, expected 1." in step.inner_text()
    step.locator("a").click()
    until(page, "location.hash === '#a1-c2'")
    assert page.locator("#a1-c2").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.closest('details').id") == "a1-c2"


def test_a_deep_link_opens_a_check_and_draws_its_plot(open_page, report):
    page = open_page(report, "#a2-c1")
    check = page.locator("#a2-c1")
    assert check.locator(".body").is_visible()
    assert check.locator(".picture-box .worst .mark").count() == 10  # a bin per 4 of log-SNR, the last one closed
    picture = check.get_by_role("slider")
    picture.focus()
    page.keyboard.press("ArrowRight")
    assert picture.get_attribute("aria-valuetext").startswith("worst 2×, log-SNR −16")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    assert picture.get_attribute("aria-valuetext").startswith("median 1×, log-SNR −20 to −16")
    assert check.locator(".tip").is_visible()
    check.get_by_role("button", name="by dimension").click()
    assert check.locator(".picture-box .worst .mark").count() == 5
    check.get_by_text("Numbers of this plot").click()
    check.locator(".numbers tbody tr").first.wait_for()  # they are written once it is open
    assert check.locator(".numbers tbody tr").count() == 5


def test_an_error_that_is_not_finite_is_a_triangle(open_page, report):
    page = open_page(report, "#a1-c6")
    assert page.locator("#a1-c6 .picture-box .worst .mark.edge").count() == 10
    page.locator("#a1-c6").get_by_text("Numbers of this plot").click()
    page.locator("#a1-c6 .numbers tbody tr").first.wait_for()
    assert "∞" in page.locator("#a1-c6 .numbers tbody").inner_text()


def test_filters_are_in_the_address_and_come_from_it(open_page, report):
    page = open_page(report)
    assert len(shown(page)) == 10
    page.locator("form [name=verdict]").select_option("fail")
    assert shown(page) == ["a1-c2", "a1-c6", "a2-c2", "a2-c6"]
    page.locator("form [name=adapter]").select_option("two · float32")
    page.locator("h2#checks-title").click()
    page.keyboard.press("/")
    page.keyboard.type("adjoint")
    assert shown(page) == ["a2-c6"]
    assert page.locator("form output").inner_text() == "1 of 10 checks that ran"
    fragment = page.evaluate("location.hash")
    assert shown(open_page(report, fragment)) == ["a2-c6"]
    # A link to a check that the filter hides shows it all the same.
    page.locator(".matrix a[href='#a1-c1']").click()
    until(page, "document.getElementById('a1-c1').open")
    assert "a1-c1" in shown(page)


def test_what_is_not_provided_can_be_found(open_page, report):
    page = open_page(report, "#verdict=not%20provided&role=score")
    assert shown(page) == []
    assert page.locator("details.missing:visible").count() == 2
    page.locator("details.missing summary").first.click()
    assert "prop-5 s3" in page.locator("details.missing").first.inner_text()


def test_the_sum_is_a_filter(open_page, report):
    page = open_page(report)
    page.locator(".sum a", has_text="2 inaccurate").click()
    until(page, "document.querySelector('form output').textContent.startsWith('2 of')")
    assert shown(page) == ["a1-c4", "a2-c4"]


def test_a_replay_script_is_shown_and_can_be_had(open_page, report):
    page = open_page(report, "#a1-c2")
    script = page.locator("#a1-c2 details.script").first
    script.locator("summary").click()
    until(page, "document.querySelector('#a1-c2 pre').textContent.startsWith('# number 2')")
    with page.expect_download() as download:
        script.locator("a.download").click()
    assert download.value.path().read_text("utf-8") == "# number 2\nprint('x')\n"


def test_themes(open_page, report):
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 27)"
    page = open_page(report, color_scheme="light")
    assert page.evaluate(background) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(background) == dark
    button = page.get_by_role("button", name="Theme")
    button.click()
    assert page.evaluate(background) == light
    button.click()
    assert page.evaluate(background) == dark
    page.emulate_media(media="print")
    assert page.evaluate(background) == light


def test_axe_finds_nothing_in_the_overview_and_a_failing_check(open_page, report):
    page = open_page(report, "#a1-c2", color_scheme="dark")
    for summary in page.locator("#a1-c2 .body summary").all():
        summary.click()
    assert page.locator(".matrix").is_visible()
    assert violations(page) == []
    page.emulate_media(color_scheme="light")
    assert violations(page, rules=["color-contrast"]) == []


def test_pages_of_a_folder_link_to_each_other(open_page, tmp_path):
    write_study(pages.a_study("words"), {}, tmp_path / "study")
    write_landing(tmp_path)
    page = open_page(tmp_path / "study" / "index.html")
    assert page.get_by_role("link", name="All reports").get_attribute("href") == "../index.html"
    assert violations(page) == []
    page = open_page(tmp_path / "index.html")
    assert page.get_by_role("link", name="words").get_attribute("href") == "study/index.html"
    page.evaluate("document.getElementById('main').append(document.createElement('button'))")
    assert [entry[0] for entry in violations(page, rules=["button-name"])] == ["button-name"]  # it would have told


def test_a_study_is_searched_and_linked_into_and_its_plots_are_used(open_page, tmp_path):
    sections = [pages.a_study(words).sections[0] for words in ("apples", "pears")]
    rows = tuple((f"row {i}", str(i)) for i in range(30))
    sections.append(Section("Many rows", tables=(Table("numbers", ("name", "value"), rows),)))
    write_study(dataclasses.replace(pages.a_study(), sections=tuple(sections)), {}, tmp_path / "study")
    page = open_page(tmp_path / "study" / "index.html", "#pears")
    assert page.evaluate("document.activeElement.id") == "pears-title"
    chart = page.locator("#pears .plot")
    assert chart.locator(".picture-box .mark").count() == 4
    assert chart.locator(".picture-box .mark.edge").count() == 1  # what is infinite
    chart.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert chart.locator(".tip").inner_text() == "pears: 20 (10 to 40) at pears 2"
    page.keyboard.press("ArrowDown")
    assert chart.locator(".tip").inner_text() == "pears 2: ∞ at pears 2"
    legend = page.locator("#pears .legend button")
    legend.first.click()
    assert (legend.first.get_attribute("aria-pressed"), chart.locator(".picture-box .mark").count()) == ("false", 2)
    chart.get_by_text("Numbers of this plot").click()
    assert chart.locator("tbody tr").first.inner_text().split() == ["1", "2", "3"]
    page.keyboard.press("/")
    page.keyboard.type("row 29")
    assert page.locator("section.part:visible").count() == 1
    assert page.locator("#many-rows tbody tr:visible").count() == 1
    assert page.locator("form output").inner_text() == "1 of 34 rows"
    assert page.evaluate("location.hash") == "#q=row+29"
    # A link into what the search hides shows it all the same.
    page.get_by_role("navigation").get_by_role("link", name="apples").click()
    until(page, "document.querySelector('#apples').checkVisibility()")


def test_adapters_side_by_side(open_page, report):
    page = open_page(report, "#side-by-side&row=score/prop-5/s5")
    side = page.locator("#side-by-side")
    until(page, "document.querySelectorAll('#side-by-side .picture-box .mark').length === 20")
    assert side.locator(".legend").inner_text().split("\n") == ["one · float32", "two · float32"]
    side.locator("select").select_option("adjoint/prop-5/s6")
    until(page, "document.querySelectorAll('#side-by-side .mark.edge').length === 20")
    assert page.evaluate("location.hash") == "#side-by-side&row=adjoint%2Fprop-5%2Fs6"


def test_a_link_to_a_counterexample(open_page, report):
    page = open_page(report, "#a2-c4-worst")
    assert page.evaluate("document.activeElement.closest('section').id") == "a2-c4-worst"
    page.locator("#a1-c1 summary").first.click()
    until(page, "location.hash === '#a1-c1'")


def test_a_large_run_is_paged_and_filtered(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(view, "MOST_LISTED", 100)
    monkeypatch.setattr(view, "MOST_DETAILED", 20)
    checks = [pages.a_check(i, role=f"role-{i % 3}") for i in range(399)] + [pages.a_check(399, Verdict.FAIL)]
    page = open_page(pages.write(pages.a_run("many", checks=checks), tmp_path / "index.html"))
    rows = page.locator("#all-checks tbody tr")
    assert rows.count() == 100
    page.get_by_role("button", name="Next").click()
    assert page.locator(".pages [role=status]").inner_text() == "Page 2 of 4"
    page.get_by_label("Search").fill("role-1 s301")
    assert rows.count() == 1
    assert page.locator("form output").inner_text() == "1 of 400 checks"
    assert violations(page) == []
    page = open_page(tmp_path / "index.html", "#a1-c350")
    assert page.evaluate("document.activeElement.dataset.place") == "a1-c350"


HARVEST = """() => ({
  text: document.body.textContent + document.title,
  values: [...document.querySelectorAll("*")].flatMap((e) => [...e.attributes].map((a) => a.value)).join(" "),
  bad: document.querySelectorAll("body script:not([type]) ~ script, img:not(.pictures img), iframe, body body, animate,"
    + "math, a[href^='javascript'], [onerror], [onload], [onclick], [onfocus], [onmouseover], [ontoggle]").length,
  pwned: window.pwned ?? null,
})"""


def hostile_run():
    checks = []
    for index, text in enumerate(PAYLOADS):
        case = Counterexample(text, 1, 2, 2, 0.5, None, text, f"# {text}\n", text)
        changes = {
            "id": text, "role": text, "claim": text, "scenario": text, "statement": text, "printed": text,
            "message": text, "simplest": case, "worst": dataclasses.replace(case, batch=2), "known_failure": text,
            "diagnosis": text, "fault": text, "margins": (FormulaMargin(text, 2.0, 1, 1),),
        }  # fmt: skip
        verdicts = (Verdict.FAIL, Verdict.PASS, Verdict.NOT_PROVIDED)
        checks.append([pages.a_check(index, verdict, **changes) for verdict in verdicts])
    adapters = tuple(
        AdapterResult(text, text, text, text, text, tuple(group)) for text, group in zip(PAYLOADS, checks, strict=True)
    )
    problems = tuple(Problem(text, text) for text in PAYLOADS)
    return Results("1", PAYLOADS[0], 0, False, adapters, problems, {text: text for text in PAYLOADS})


def untouched(page):
    found = page.evaluate(HARVEST)
    assert found["pwned"] is None
    assert found["bad"] == 0
    return " ".join(found["text"].split())


def test_a_page_that_lets_a_payload_through_is_found(browser):
    page = browser.new_page()
    page.set_content(f"<p>{PAYLOADS[11]}</p>")
    until(page, "window.pwned === 1")
    with pytest.raises(AssertionError):
        untouched(page)
    page.close()


def test_thirty_payloads_stay_text_in_a_report(open_page, tmp_path):
    assert len(set(PAYLOADS)) == 30
    page = open_page(pages.write(hostile_run(), tmp_path / "index.html"))
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    until(page, "[...document.querySelectorAll('.check .body')].every((e) => e.childNodes.length)")
    page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    until(page, "[...document.querySelectorAll('pre')].every((e) => e.textContent.startsWith('#'))")
    page.get_by_label("Search").fill(PAYLOADS[0])
    text = untouched(page)
    for payload in PAYLOADS:
        # name, reason, exception, diagnosis, statement, scenario, case, script ...: more than once each
        assert text.count(" ".join(payload.split())) > 20, payload


def test_thirty_payloads_stay_text_in_a_table_of_all_checks(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(view, "MOST_LISTED", 10)
    monkeypatch.setattr(view, "MOST_DETAILED", 5)
    page = open_page(pages.write(hostile_run(), tmp_path / "index.html"))
    text = untouched(page)
    assert all(" ".join(payload.split()) in text for payload in PAYLOADS)


def test_thirty_payloads_stay_text_in_studies_and_their_list(open_page, tmp_path):
    for index, payload in enumerate(PAYLOADS):
        write_study(Study(payload, payload, "", payload, (), payload), {}, tmp_path / f"s{index}")
    study = pages.a_study("plain")
    study = dataclasses.replace(study, sections=tuple(pages.a_study(payload).sections[0] for payload in PAYLOADS))
    write_study(study, {}, tmp_path / "all")
    write_landing(tmp_path)
    for path in (tmp_path / "index.html", tmp_path / "all" / "index.html"):
        text = untouched(open_page(path))
        assert all(" ".join(payload.split()) in text for payload in PAYLOADS)


def test_the_committed_reports(open_page):
    reports = Path(__file__).parents[2] / "reports"
    found = {}
    for number, path in enumerate(sorted(reports.glob("**/index.html"))):
        page = open_page(path, color_scheme=("light", "dark")[number % 2])
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        found |= {f"{path.parent.name}: {violation}": None for violation in violations(page)}
        page.context.close()
        assert path.stat().st_size < 400_000
    assert list(found) == []
