import base64
import gzip
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from afi_verify.report import page as page_module
from afi_verify.report import render_report, view, write_report
from afi_verify.report.packing import Pack
from afi_verify.report.page import LARGEST
from afi_verify.report.reading import Collector
from afi_verify.report.thinning import make_grid, thin
from afi_verify.report.wording import number
from afi_verify.results import (
    AdapterResult,
    CheckResult,
    Counterexample,
    FormulaMargin,
    Point,
    Problem,
    Results,
    Verdict,
    to_json,
)

HOSTILE = "</script><script>alert(1)</script>\"><img src=x onerror=alert(1)>'{{ 7*7 }}<!--\u2028"


def make_points(count, scale=1.0):
    return tuple(
        Point(
            -20 + 40 * i / max(count - 1, 1),
            scale * (0.5 + (i * 7919 % 97) / 50),
            10.0 ** (i % 5 - 1),
            64,
            20,
        )
        for i in range(count)
    )


def make_script(lines):
    rows = "\n".join(f"    {float.hex(math.sin(i))}, {float.hex(math.cos(i))}," for i in range(lines))
    return f"import numpy as np\nx = [\n{rows}\n]\nassert np.all(x)\n"


def make_check(verdict=Verdict.PASS, *, text="plain", role="fisher_trace", points=20, lines=5, **changes):
    case = Counterexample(text, 1, 2, 3, 0.5, 2e4, text, make_script(lines) + f"# {text}\n")
    wrong = verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INACCURATE)
    check = CheckResult(
        id=f"{text}/float32/{role}/prop-5/dirac", role=role, claim="prop-5", scenario="dirac",
        statement="tr F = d/σ² − α²/σ⁴ tr Cov", printed=None,
        verdict=verdict, message=text if wrong else "",
        cases=4, items=points, evidence=points, limit=16.0, worst_error=3.0, median_error=1.0,
        margins=tuple(FormulaMargin(f"{text}, wrong in way {i}", 10.0**i, i, points) for i in range(4)),
        points=make_points(points, 1e4 if wrong else 1.0),
        simplest=case if wrong else None, worst=replace(case, batch=2) if wrong else None,
    )  # fmt: skip
    return replace(check, **changes)


def make_results(*adapters, **changes):
    results = Results(
        "0.1.0", "ci", 7, False,
        tuple(AdapterResult(f"adapter-{i}", "torch", "float32", "cpu", "a.py", tuple(checks))
              for i, checks in enumerate(adapters)),
    )  # fmt: skip
    return replace(results, **changes)


def document(results):
    return json.loads(to_json(results))


def render(results):
    return render_report(document(results))


class Page(HTMLParser):
    """The elements, attributes and text that a browser would see."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.inside = [], {}, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        place = self.inside[-1] if self.inside and self.inside[-1] in ("script", "style") else "page"
        self.text[place] = self.text.get(place, "") + data

    @property
    def words(self):
        return " ".join(self.text["page"].split())


def test_says_the_sum_with_every_verdict():
    counts = {verdict: i + 1 for i, verdict in enumerate(Verdict)}
    checks = [make_check(v, role=f"{v.name}-{i}") for v, count in counts.items() for i in range(count)]
    expected = f"{len(checks)} planned = " + " + ".join(f"{counts[v]} {v.value}" for v in Verdict)
    # Once for the run and once for the adapter.
    assert Page(render(make_results(checks))).words.count(expected) == 2


@pytest.mark.parametrize(
    ("verdicts", "answer"),
    [
        ([], "Nothing was verified"),
        ([Verdict.NOT_PROVIDED], "Nothing was verified"),
        ([Verdict.PASS, Verdict.PASS, Verdict.NOT_PROVIDED], "Right: all 2 checks that ran pass."),
        ([Verdict.PASS, Verdict.VACUOUS], "Nothing wrong found, but 1 of 2 checks could not have told."),
        ([Verdict.PASS, Verdict.INACCURATE], "Right formulas, inaccurate code"),
        ([Verdict.INACCURATE, Verdict.UNDECIDED], "Not settled: 1 of 2 checks"),
        ([Verdict.UNDECIDED, Verdict.ERROR], "Not verified: 1 of 2 checks gave no usable answer."),
        ([Verdict.ERROR, Verdict.FAIL], "Not right: 1 of 2 checks failed, 1 gave no usable answer."),
    ],
)
def test_headline_is_the_gravest_verdict(verdicts, answer):
    assert answer in Page(render(make_results([make_check(v) for v in verdicts]))).words


def test_problems_come_before_the_verdicts():
    problems = (Problem("b.py", "no Adapter in it"),)
    words = Page(render(make_results([make_check()], problems=problems))).words
    assert "Not verified: 1 input could not be used." in words
    assert words.index("no Adapter in it") < words.index("All verdicts")
    words = Page(render(make_results([make_check(Verdict.FAIL)], problems=problems))).words
    assert "Not right: 1 of 1 check failed, 1 input could not be used." in words


def test_shows_what_the_paper_prints_only_where_it_is_wrong():
    assert "The paper prints" not in Page(whole(render(make_results([make_check()])))).words
    assert (
        "The paper prints, wrongly: no 1/d" in Page(whole(render(make_results([make_check(printed="no 1/d")])))).words
    )


def test_matrix_links_lead_to_checks():
    page = Page(render(make_results([make_check()], [make_check(Verdict.FAIL), make_check(role="score")])))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a" and "href" in attributes]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#").split("&")[0] for link in links} <= set(ids)
    assert "not planned" in page.words


def test_tables_have_captions_and_scopes():
    page = Page(render(make_results([make_check(Verdict.FAIL)])))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") > 0
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")


def test_hostile_text_stays_text():
    hostile = make_check(Verdict.FAIL, text=HOSTILE, role=HOSTILE, claim=HOSTILE, scenario=HOSTILE,
                         statement=HOSTILE, printed=HOSTILE)  # fmt: skip
    adapter = AdapterResult(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (hostile,) * 2)
    results = Results(HOSTILE, HOSTILE, 0, False, (adapter,), (Problem(HOSTILE, HOSTILE),), {HOSTILE: HOSTILE}, {})
    tame = json.loads(json.dumps(document(results)).replace(json.dumps(HOSTILE)[1:-1], "tame"))
    page, expected = Page(render(results)), Page(render_report(tame))
    assert "{{ 7*7 }}" in page.words
    assert page.words.count('</script><script>alert(1)</script>"><img') == expected.words.count("tame")

    def shape(page):
        return [(tag, sorted(attributes)) for tag, attributes in page.elements]

    assert shape(page) == shape(expected)
    assert page.text["script"].count("alert(1)") == 0


def test_nothing_is_fetched_and_only_own_scripts_run():
    html = render(make_results([make_check(Verdict.FAIL)]))
    page = Page(html)
    assert not re.search(r"@import|url\(", page.text["style"])
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "action", "formaction"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def packed(html):
    """What the page's script unpacks: details and scripts by name."""
    found = re.search(r'id="details">([^<]*)<', html)
    return json.loads(gzip.decompress(base64.b64decode(found[1]))) if found else {}


def whole(html):
    """The page with everything that its script would unpack."""
    return html + "".join(packed(html).values())


def test_large_run_stays_small_and_says_what_was_thinned():
    verdicts = [Verdict.PASS, Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.INACCURATE]
    checks = [make_check(verdicts[i % 5], role=f"role-{i}", points=150, lines=40) for i in range(25)]
    html = render(make_results(*[checks] * 8))
    assert len(html.encode()) < LARGEST
    assert "thinned from 150 points" in Page(html).words
    texts = packed(html)
    everything = Page(whole(html))
    wanted = {attributes["data-packed"] for _, attributes in everything.elements if "data-packed" in attributes}
    assert len(wanted) == 2 * 80
    assert {texts[name] for name in wanted} == {make_script(40) + "# plain\n"}
    # Every check that ran has its details, in the page or packed.
    assert everything.words.count("thinned from 150 points") == 200


def test_what_has_no_room_is_what_matters_least():
    urgent = make_check(Verdict.FAIL, role="urgent")
    long = [make_check(message=f"{i} " + "".join(f"{math.sin(i + j):.17g}" for j in range(3000))) for i in range(60)]
    html = render(make_results([*long, urgent]))
    assert len(html.encode()) < LARGEST
    assert "urgent · prop-5" in html
    assert packed(html)["replay-a1-c61-simplest.py"]
    assert "There is no room for the details here: they are in results.json" in Page(html).words


def test_a_pack_says_what_it_holds():
    pack = Pack(10)
    assert not pack
    assert pack.add("a", "x" * 100_000)
    assert not pack.add("b", "y")
    assert "a" in pack
    assert "b" not in pack
    assert json.loads(gzip.decompress(base64.b64decode(pack.finish()))) == {"a": "x" * 100_000}


def test_a_run_whose_entries_would_not_fit_is_paged(monkeypatch):
    run = make_results([make_check(role=f"role-{i}") for i in range(400)])
    assert 'id="table"' not in render(run)
    monkeypatch.setattr(page_module, "LARGEST", 150_000)
    html = render(run)
    assert 'id="table"' in html
    assert html.count('<details class="check" id=') == view.MOST_DETAILED


def test_a_long_run_keeps_the_worst_and_a_table_of_all(monkeypatch):
    monkeypatch.setattr(view, "MOST_LISTED", 50)
    monkeypatch.setattr(view, "MOST_DETAILED", 10)
    checks = [make_check(worst_error=1.0 + i / 100, role=f"role-{i % 7}") for i in range(90)]
    checks[80] = make_check(Verdict.FAIL)
    checks[81] = make_check(Verdict.NOT_PROVIDED)
    html = render(make_results(checks))
    listed = re.findall(r'<details class="check" id="a1-c(\d+)"', html)
    assert listed == ["81", *map(str, range(90, 82, -1)), "80"]
    assert "90 planned = 88 pass + 1 fail" in Page(html).words
    table = json.loads(gzip.decompress(base64.b64decode(re.search(r'id="table">([^<]*)<', html)[1])))
    assert len(table["columns"]["place"]) == 90
    assert [table["names"]["verdict"][i] for i in table["columns"]["verdict"]].count("not provided") == 1


def test_details_are_kept_of_the_most_urgent_alone():
    collector = Collector(most=3)
    entries = [make_check(worst_error=float(i)) for i in range(6)] + [make_check(Verdict.FAIL, message="m" * 1000)] * 4
    whole = document(make_results(entries))
    for entry in whole["adapters"][0]["checks"]:
        collector.add(0, entry)
    checks = collector.finish(whole).checks
    assert [bool(check.points) for check in checks] == [False] * 6 + [True] * 3 + [False]
    assert [check.worst_error for check in checks[:6]] == [float(i) for i in range(6)]
    assert len(checks[-1].message) < 400


def test_thinning_keeps_each_worst_and_every_point():
    points = (*make_points(150), Point(3.0, math.nan, 0.1, 1, 1), Point(math.inf, 5.0, 2.0, 1, 1),
              Point(math.nan, 2.0, 2.0, 1, 1), Point(math.nan, 4.0, 2.0, 1, 1))  # fmt: skip
    bins = thin(points, make_grid(points, 12))
    assert sum(item.points for item in bins) == len(points)
    finite = [item for item in bins if math.isfinite(item.low)]
    assert len(finite) <= 12
    for item in finite:
        inside = [p for p in points if item.low <= p.log_snr < item.high or p.log_snr == item.high == 20]
        broken = any(math.isnan(p.error) for p in inside)
        assert math.isnan(item.worst) if broken else item.worst == max(p.error for p in inside)
    assert [item.worst for item in bins[-2:]] == [5.0, 4.0]


@pytest.mark.parametrize("error", [math.nan, math.inf, 0.0, 1e300])
def test_any_number_is_drawn(error):
    point = replace(make_points(1)[0], error=error)
    check = make_check(Verdict.FAIL, worst_error=error, points=1, limit=math.inf)
    assert number(error) in Page(render(make_results([replace(check, points=(point,))]))).words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.nan, "NaN"), (-math.inf, "−∞"), (0.0, "0"), (3.14159, "3.14"), (120000.0, "1.2·10⁵")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def broken(path, value):
    whole = document(make_results([make_check()]))
    entry = whole
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "must hold a JSON object"),
        ({}, "schema None"),
        (broken(["schema"], "afi-verify/results/2"), "schema 'afi-verify/results/2'"),
        (broken(["seed"], True), "seed: expected an integer, got true or false"),
        (broken(["adapters"], None), "adapters: expected a list, got null"),
        (broken(["adapters", 0, "checks", 0, "verdict"], "green"), r"checks\[0\].verdict: 'green'"),
        (
            broken(["adapters", 0, "checks", 0, "limit"], "big"),
            r"adapters\[0\].checks\[0\].limit: expected a num",
        ),
        (broken(["sum", "planned"], 2), "sum: says"),
        ({"schema": "afi-verify/results/1"}, "version: missing"),
        ({**document(make_results()), "adapters": [1]}, r"adapters\[0\]: expected an object, got an integer"),
    ],
)
def test_unusable_results_say_where(data, message):
    with pytest.raises(ValueError, match=message):
        render_report(data)


def test_write_report_writes_whole_or_not_at_all(tmp_path):
    source, target = tmp_path / "results.json", tmp_path / "index.html"
    source.write_text(to_json(make_results([make_check()])), encoding="utf-8")
    write_report(source, target)
    html = target.read_text(encoding="utf-8")
    assert html == render(make_results([make_check()]))
    source.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="no JSON file"):
        write_report(source, target)
    assert target.read_text(encoding="utf-8") == html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "results.json"]
