(() => {
  const { html, number } = page;

  const inflate = async (id) => {
    const element = document.getElementById(id);
    if (!element) return {};
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const once = (make) => {
    let made;
    return () => (made ??= make());
  };

  const packed = once(() => inflate("details"));

  // ---- a check that is opened: its details are unpacked and its plot is drawn

  const fills = new WeakMap();

  const fill = (check) => {
    if (!fills.has(check)) fills.set(check, fillOnce(check));
    return fills.get(check);
  };

  const fillOnce = async (check) => {
    const body = check.querySelector(".body");
    // What is unpacked is the output of the page's own templates, in which all text is escaped.
    if (!body.childNodes.length) body.innerHTML = (await packed())[check.id] ?? "";
    body.querySelectorAll(".plot").forEach(checkPlots.start);
    for (const box of body.querySelectorAll("details.script")) {
      box.addEventListener("toggle", () => startScript(box).catch(console.error), { once: true });
    }
  };

  const startScript = async (box) => {
    const pre = box.querySelector("pre");
    pre.textContent = (await packed())[pre.dataset.packed] ?? pre.textContent;
    const link = box.querySelector(".download");
    link.href = URL.createObjectURL(new Blob([pre.textContent], { type: "text/x-python" }));
    link.hidden = false;
    const button = box.querySelector(".copy");
    button.hidden = false;
    button.addEventListener("click", () => copy(pre, box.querySelector(".done")));
  };

  const copy = async (pre, done) => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      done.textContent = "Copied";
    } catch {
      // Some browsers give a page from file:// no clipboard; the selection is one key away from it.
      getSelection().selectAllChildren(pre);
      done.textContent = "Selected: press Ctrl+C or ⌘C";
    }
  };

  const checks = [...document.querySelectorAll("details.check")];
  for (const check of checks) {
    check.dataset.adapter ??= check.closest("section.adapter").querySelector("h2").textContent;
    check.addEventListener("toggle", () => check.open && !check.matches(".missing") && fill(check).catch(console.error));
  }

  // ---- search and filter; their state and the opened check are in the address

  const form = document.getElementById("filter");
  const KEYS = ["q", "verdict", "role", "adapter"];
  const texts = new WeakMap();
  const textOf = (check) => {
    if (!texts.has(check)) texts.set(check, `${check.dataset.adapter} ${check.textContent}`.toLowerCase());
    return texts.get(check);
  };

  const wanted = () => Object.fromEntries(KEYS.map((key) => [key, form.elements[key].value.trim()]));
  const matches = (row, want, text) =>
    ["verdict", "role", "adapter"].every((key) => !want[key] || row[key] === want[key]) &&
    page.hasWords(text(), want.q);

  const missingMatches = (box, want) => {
    let any = false;
    for (const row of box.querySelectorAll("tbody tr")) {
      const item = { verdict: "not provided", adapter: box.dataset.adapter, role: row.querySelector("th").textContent };
      row.hidden = !matches(item, want, () => `${item.adapter} ${item.verdict} ${row.textContent}`.toLowerCase());
      any ||= !row.hidden;
    }
    return any;
  };

  // The numbers of the plot of a check, from the page or unpacked.
  const plotOf = async (anchor) => {
    const holder = document.createElement("template");
    holder.innerHTML = (await packed())[anchor] ?? "";
    const box = document.getElementById(anchor)?.querySelector(".plot") ?? holder.content.querySelector(".plot");
    return box?.dataset.plot;
  };

  let side = { row: "", choose: async () => {} };
  let table; // the page's table of all checks, where there are too many for entries

  const apply = () => {
    const want = wanted();
    let shown = 0;
    for (const check of checks) {
      const missing = check.matches(".missing");
      check.hidden = !(missing ? missingMatches(check, want) : matches(check.dataset, want, () => textOf(check)));
      shown += !check.hidden && !missing;
    }
    for (const section of document.querySelectorAll("section.adapter")) {
      section.hidden = !section.querySelector("details.check:not([hidden])");
    }
    const ran = checks.filter((check) => !check.matches(".missing")).length;
    let words = `${shown} of ${ran} checks that ran`;
    if (table) words = `${table.filter(want)} of ${table.size} checks`;
    form.querySelector("output").textContent = words;
  };

  const write = (target) => page.writeAddress(target, { ...wanted(), row: side.row });
  const clear = () => {
    for (const key of KEYS) form.elements[key].value = "";
    apply();
  };

  // An element of a check exists only once the check's details are unpacked: a1-c2-simplest is in a1-c2.
  const find = async (target) => {
    const owner = document.getElementById(/^(a\d+-c\d+)-\w+$/.exec(target)?.[1]);
    if (owner) await fill(owner);
    return document.getElementById(target) ?? owner ?? (table && /^a\d+-c\d+$/.test(target) ? table.reveal(target) : null);
  };

  const show = async (target) => {
    const element = await find(target);
    if (!element) return;
    if (element.closest("[hidden]")) clear();
    const box = element.closest("details");
    if (box) {
      box.open = true;
      if (box.id) await fill(box);
    }
    element.scrollIntoView();
    const inside = box !== element && element.querySelector("h4");
    (inside || (box?.querySelector("summary") ?? element)).focus({ preventScroll: true });
  };

  // Whoever opens a check can hand on the address.
  for (const check of checks) {
    check.querySelector("summary").addEventListener("click", () => {
      if (check.id) setTimeout(() => write(check.open ? check.id : ""));
    });
  }

  const follow = async () => {
    const { target, state } = page.readAddress();
    if (form && [...state.keys()].some((key) => KEYS.includes(key))) {
      for (const key of KEYS) form.elements[key].value = state.get(key) ?? "";
      apply();
      if (!target) document.getElementById("checks").scrollIntoView();
    }
    if (state.get("row")) await side.choose(state.get("row"));
    if (target) await show(target);
    if (target && form) write(target);
  };

  const startFilter = () => {
    form.hidden = false;
    const changed = () => {
      apply();
      write("");
    };
    form.addEventListener("input", changed);
    form.addEventListener("reset", () => setTimeout(changed));
    form.addEventListener("submit", (event) => event.preventDefault());
    page.searchByKey(form.elements.q);
    for (const term of document.querySelectorAll(".sum[data-linked] .term:not(.none)")) {
      const verdict = term.textContent.replace(/^\d+ /, "");
      const link = html("a", { class: term.className, href: `#verdict=${encodeURIComponent(verdict)}` });
      link.textContent = term.textContent;
      term.replaceWith(link);
    }
    apply();
  };

  // ---- the table of all checks, a page at a time

  const PAGE = 100;

  const makeTable = ({ names, columns }) => {
    const size = columns.place.length;
    const name = (key, i) => names[key][columns[key][i]];
    const line = (i) => ["adapter", "verdict", "role", "claim", "scenario"].map((key) => name(key, i)).join(" ");
    let kept = [...Array(size).keys()];
    let leaf = 0;
    const body = html("tbody");
    const where = html("span", { role: "status" });
    const back = html("button", { type: "button" }, "Previous");
    const on = html("button", { type: "button" }, "Next");

    const first = (i) => {
      const label = `${name("role", i)} · ${name("claim", i)} `;
      const rest = html("span", { class: "quiet" }, name("scenario", i));
      const target = document.getElementById(columns.place[i]);
      const text = target ? html("a", { href: `#${columns.place[i]}` }, label) : html("span", {}, label);
      return html("th", { scope: "row", tabindex: "-1", "data-place": columns.place[i] }, text, rest);
    };
    const draw = () => {
      const pages = Math.max(1, Math.ceil(kept.length / PAGE));
      leaf = Math.min(Math.max(leaf, 0), pages - 1);
      const rows = kept.slice(leaf * PAGE, (leaf + 1) * PAGE).map((i) => {
        const verdict = name("verdict", i);
        const badge = html("b", { class: verdict.replace(" ", "-") }, verdict);
        const worst = columns.worst[i];
        const cells = [name("adapter", i), badge, worst === null ? "–" : page.times(worst)];
        return html("tr", {}, first(i), ...cells.map((cell) => html("td", {}, cell)));
      });
      body.replaceChildren(...rows);
      where.textContent = `Page ${number(leaf + 1)} of ${number(pages)}`;
      back.disabled = leaf === 0;
      on.disabled = leaf === pages - 1;
    };
    back.addEventListener("click", () => (leaf--, draw()));
    on.addEventListener("click", () => (leaf++, draw()));
    const head = ["Role and claim", "Adapter", "Verdict", "Worst error"].map((text) => html("th", { scope: "col" }, text));
    const caption = html("caption", {}, "All checks; the worst error in multiples of the attainable");
    const grid = html("table", { class: "all" }, caption, html("thead", {}, html("tr", {}, ...head)), body);
    const frame = html("div", { class: "scroll", role: "region", "aria-label": "All checks", tabindex: "0" }, grid);
    document.getElementById("all-checks").append(frame, html("p", { class: "pages" }, back, on, where));

    return {
      size,
      filter: (want) => {
        const row = (i) => ({ verdict: name("verdict", i), role: name("role", i), adapter: name("adapter", i) });
        kept = [...Array(size).keys()].filter((i) => matches(row(i), want, () => line(i).toLowerCase()));
        leaf = 0;
        draw();
        return kept.length;
      },
      reveal: (place) => {
        let at = kept.findIndex((i) => columns.place[i] === place);
        if (at < 0) {
          clear();
          at = kept.findIndex((i) => columns.place[i] === place);
        }
        if (at < 0) return null;
        leaf = Math.floor(at / PAGE);
        draw();
        return body.querySelector(`[data-place="${place}"]`);
      },
    };
  };

  const begin = async () => {
    page.startTheme();
    if (document.getElementById("table")) table = makeTable(await inflate("table"));
    if (form) startFilter();
    side = beside.start(plotOf, () => write("side-by-side"));
    window.addEventListener("hashchange", () => follow().catch(console.error));
    await page.loaded();
    await follow();
    for (const check of checks) if (check.open && check.id) await fill(check);
    document.documentElement.dataset.ready = "";
  };

  begin().catch(console.error);
})();
