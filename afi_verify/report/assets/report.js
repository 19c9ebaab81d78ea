"use strict";
(() => {
  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const inflate = async (id) => {
    const stream = new DecompressionStream("gzip");
    const writer = stream.writable.getWriter();
    writer.write(bytesOf(document.getElementById(id).textContent));
    writer.close();
    return new Response(stream.readable).text();
  };

  const once = (make) => {
    let made;
    return () => (made ??= make());
  };

  // ---- plots: the library is unpacked once, each plot is drawn when it comes into sight

  // The policy of the page allows this one script by its hash; a blob: or eval would open it to others.
  const library = once(async () => {
    const script = document.createElement("script");
    script.textContent = await inflate("plotting-code");
    document.head.append(script);
    return window.vegaEmbed;
  });

  const times = (value) => (value === null ? "not finite" : `${Number(value.toPrecision(3))}×`);

  const rowsOf = (charts, plot) => {
    const [lowest, highest] = plot.y;
    const place = (value) => (value === null ? highest : Math.max(value, lowest));
    const rows = [{ series: "limit", y: plot.limit, tip: `limit ${times(plot.limit)}` }];
    for (const [low, median, worstAt, worst, telling] of plot.rows) {
      const high = low + charts.width;
      rows.push({
        series: "median",
        x: low + charts.width / 2,
        y: place(median),
        finite: median !== null,
        tip: `median ${times(median)}, log-SNR ${low} to ${high}`,
      });
      rows.push({
        series: "worst",
        x: worstAt,
        y: place(worst),
        finite: worst !== null,
        telling: telling > 0,
        tip: `worst ${times(worst)}, log-SNR ${worstAt}${telling ? "" : ", no evidence"}`,
      });
    }
    return rows;
  };

  const specOf = (charts, element) => {
    const plot = charts.plots[element.dataset.plot];
    const spec = structuredClone(charts.frame);
    spec.data = { values: rowsOf(charts, plot) };
    spec.description = element.closest("figure").querySelector("figcaption").textContent;
    spec.encoding.x.scale.domain = charts.x;
    spec.encoding.y.scale.domain = plot.y;
    spec.encoding.y.axis.values = plot.ticks;
    return spec;
  };

  const draw = async (element, charts) => {
    if (element.dataset.state) return;
    element.dataset.state = "drawing";
    try {
      const embed = await library();
      // ast: expressions are interpreted, since the policy forbids eval. No menu, no style of its own.
      const options = { renderer: "svg", ast: true, actions: false, tooltip: false, defaultStyle: false };
      await embed(element, specOf(charts, element), options);
      element.dataset.state = "drawn";
    } catch (error) {
      console.error(error);
      element.dataset.state = "failed";
      element.hidden = true;
      element.closest("figure").querySelector(".numbers").open = true;
    }
  };

  const startPlots = () => {
    const charts = JSON.parse(document.getElementById("charts").textContent);
    const elements = [...document.querySelectorAll(".plot")].filter((e) => charts.plots[e.dataset.plot]);
    for (const element of elements) {
      element.hidden = false;
      element.closest("figure").querySelector(".numbers").open = false;
    }
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (!entry.isIntersecting) continue;
          watcher.unobserve(entry.target);
          draw(entry.target, charts);
        }
      },
      { rootMargin: "600px" },
    );
    elements.forEach((element) => watcher.observe(element));

    // Printing waits for nothing, so what it would show is drawn in good time, one plot after another.
    const inSight = () => elements.filter((element) => !element.closest("details.check:not([open])"));
    const drawAhead = async () => {
      for (const element of inSight()) {
        await draw(element, charts);
        await new Promise((resume) => setTimeout(resume));
      }
    };
    setTimeout(drawAhead, 300);
    window.addEventListener("beforeprint", () => inSight().forEach((element) => draw(element, charts)));
  };

  // ---- links from the overview open the check they lead to

  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const box = target?.closest("details");
    if (!box) return;
    box.open = true;
    target.scrollIntoView();
  };

  // ---- replay scripts: copy and download

  const packedScripts = once(async () => JSON.parse(await inflate("packed-scripts")));

  const startScript = async (box) => {
    const pre = box.querySelector("pre");
    const name = pre.dataset.packed;
    if (name) pre.textContent = (await packedScripts())[name];
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

  for (const box of document.querySelectorAll("details.script")) {
    box.addEventListener("toggle", () => startScript(box).catch(console.error), { once: true });
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
  if (document.getElementById("charts") && typeof DecompressionStream === "function") startPlots();
})();
