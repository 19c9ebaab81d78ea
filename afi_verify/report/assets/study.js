// The page of a study: its plots, and a search through its tables.
(() => {
  const { html, number } = page;

  const specOf = ({ x, y, limit, limitName, series }, height) => ({
    x: { name: x[0] + (x[1] ? " (log)" : ""), log: Boolean(x[1]), low: x[2], high: x[3], exact: true },
    y: { name: y[0], log: Boolean(y[1]), low: y[2], high: y[3] },
    limit, limitName, height,
    series: series.map(([name, line, points]) => ({
      name, line: Boolean(line),
      points: points.map(([px, py, low, high]) => {
        const interval = low === undefined ? "" : ` (${number(low)} to ${number(high)})`;
        return { x: px, y: py, low, high, tip: `${name}: ${number(py)}${interval} at ${x[0]} ${number(px)}` };
      }),
    })),
  });

  // Plots of the same quantity are compared by eye, so they get the same axis.
  const shareScale = (specs) => {
    for (const spec of specs) {
      const same = specs.filter((other) => other.y.name === spec.y.name && other.y.log === spec.y.log);
      const values = same.flatMap(({ series, limit }) => [limit, ...series.flatMap(({ points }) => points.map(({ y }) => y))]);
      const usable = values.filter((value) => page.finite(value) && (!spec.y.log || value > 0));
      spec.y.reach = [Math.min(...usable), Math.max(...usable)];
    }
  };

  // Charts that stand together have one legend, and one colour for one name.
  const startPlots = (group) => {
    const boxes = [...group.querySelectorAll(".plot[data-chart]")];
    const specs = boxes.map((box) => specOf(JSON.parse(box.dataset.chart), boxes.length > 1 ? 220 : 300));
    shareScale(specs);
    const names = new Map();
    for (const series of specs.flatMap((spec) => spec.series)) {
      if (!names.has(series.name)) names.set(series.name, { ...series, look: names.size });
      series.look = names.get(series.name).look;
    }
    const made = specs.map((spec, i) => {
      const caption = boxes[i].closest("figure").querySelector("figcaption").textContent;
      const chart = charts.makeChart(`Points of the plot: ${caption}`);
      boxes[i].replaceChildren(...chart.elements);
      return chart;
    });
    if (names.size > 1) group.prepend(charts.makeLegend([...names.values()], made));
    made.forEach((chart, i) => chart.show(specs[i]));
  };

  // ---- search: the rows of all tables, and the sections that hold some

  const startSearch = () => {
    const form = document.getElementById("search");
    if (!form) return () => {};
    const field = form.elements.q;
    const sections = [...document.querySelectorAll("main > section.part")].map((section) => ({
      section,
      blocks: [...section.querySelectorAll("figure, .statement")].map((e) => ({ e, text: e.textContent.toLowerCase() })),
      title: section.querySelector("h2").textContent.toLowerCase(),
      tables: [...section.querySelectorAll("table.study")].map((table) => ({
        frame: table.closest(".scroll"),
        rows: [...table.tBodies[0].rows].map((row) => ({ row, text: row.textContent.toLowerCase() })),
      })),
    }));
    const total = sections.flatMap(({ tables }) => tables.flatMap(({ rows }) => rows)).length;

    const apply = () => {
      const want = field.value.trim();
      let found = 0;
      for (const { section, blocks, title, tables } of sections) {
        const here = want && page.hasWords(title, want);
        let any = !want || here;
        for (const { e, text } of blocks) {
          e.hidden = !(!want || here || page.hasWords(text, want));
          any ||= !e.hidden;
        }
        for (const { frame, rows } of tables) {
          let some = false;
          for (const { row, text } of rows) {
            row.hidden = !(!want || here || page.hasWords(text, want));
            some ||= !row.hidden;
            found += !row.hidden;
          }
          frame.hidden = !some;
          any ||= some;
        }
        section.hidden = !any;
      }
      form.querySelector("output").textContent = want ? `${found} of ${total} rows` : `${total} rows`;
    };
    form.hidden = false;
    form.addEventListener("input", () => (apply(), page.writeAddress("", { q: field.value.trim() })));
    form.addEventListener("reset", () => setTimeout(() => (apply(), page.writeAddress("", {}))));
    form.addEventListener("submit", (event) => event.preventDefault());
    page.searchByKey(field);
    return (words) => {
      field.value = words;
      apply();
    };
  };

  const begin = async () => {
    page.startTheme();
    document.querySelectorAll(".plots").forEach(startPlots);
    const search = startSearch();
    const follow = () => {
      const { target, state } = page.readAddress();
      search(state.get("q") ?? "");
      const element = target && document.getElementById(target);
      if (!element) return;
      if (element.closest("[hidden]")) search("");
      element.scrollIntoView();
      (element.querySelector("h2") ?? element).focus({ preventScroll: true });
    };
    window.addEventListener("hashchange", follow);
    await page.loaded();
    follow();
    document.documentElement.dataset.ready = "";
  };

  begin().catch(console.error);
})();
