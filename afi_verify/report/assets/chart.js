// Plots that can be used: values on hover and by keyboard, a legend that hides lines, the numbers as a table.
const charts = (() => {
  const { html, number } = page;

  const tableOf = (spec) => {
    const bare = (text) => text.replace(/ \(log\)$/, "");
    const names = spec.series.map((series) => series.name);
    const places = [...new Set(spec.series.flatMap((series) => series.points.map((point) => point.x)))];
    const lists = spec.series.map((series) => new Map(series.points.map((point) => [point.x, point])));
    const value = (point) =>
      !point ? "" : `${number(point.y)}${point.low === undefined ? "" : ` (${number(point.low)} to ${number(point.high)})`}`;
    places.sort((a, b) => a - b);
    return {
      caption: spec.y.name,
      head: [bare(spec.x.name), ...names],
      rows: places.map((place) => [number(place), ...lists.map((list) => value(list.get(place)))]),
    };
  };

  const drawTable = ({ caption, head, rows }) => {
    const cells = (row) => row.map((text, i) => (i ? html("td", {}, text) : html("th", { scope: "row" }, text)));
    const top = html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text))));
    const body = html("tbody", {}, ...rows.map((row) => html("tr", {}, ...cells(row))));
    const table = html("table", {}, html("caption", {}, caption), top, body);
    return html("div", { class: "scroll", role: "region", "aria-label": `Numbers: ${caption}`, tabindex: "0" }, table);
  };

  // The picture is a slider for the keyboard and for screen readers: left and right walk along a series, up and down
  // from one series to the next.
  const makeChart = (label) => {
    const picture = html("div", { class: "picture-box", tabindex: "0", role: "slider", "aria-label": label });
    const tip = html("div", { class: "tip" });
    const numbers = html("details", { class: "numbers" }, html("summary", {}, "Numbers of this plot"));
    let spec;
    let hidden = new Set();
    let drawn = { series: [], width: 1 };
    let place = [0, 0];

    const point = (row, column, show) => {
      if (drawn.series.length === 0) return picture.setAttribute("aria-valuetext", "nothing is shown");
      const first = Math.min(Math.max(row, 0), drawn.series.length - 1);
      place = [first, Math.min(Math.max(column, 0), drawn.series[first].length - 1)];
      const mark = drawn.series[place[0]][place[1]];
      picture.setAttribute("aria-valuenow", place[1]);
      picture.setAttribute("aria-valuemax", drawn.series[first].length - 1);
      picture.setAttribute("aria-valuetext", mark.tip);
      tip.hidden = !show;
      drawn.ring.setAttribute("visibility", show ? "visible" : "hidden");
      if (!show) return undefined;
      tip.textContent = mark.tip;
      drawn.ring.setAttribute("cx", mark.px);
      drawn.ring.setAttribute("cy", mark.py);
      const scale = picture.clientWidth / drawn.width;
      const left = Math.min(Math.max(mark.px * scale - tip.offsetWidth / 2, 0), picture.clientWidth - tip.offsetWidth);
      tip.style.left = `${left}px`;
      tip.style.top = `${mark.py * scale - tip.offsetHeight - 12}px`;
      return undefined;
    };
    const leave = () => {
      tip.hidden = true;
      drawn.ring?.setAttribute("visibility", "hidden");
    };

    const redraw = () => {
      drawn = plot.draw(spec, Math.max(300, Math.min(picture.clientWidth || 720, 1000)), hidden);
      picture.replaceChildren(drawn.svg, tip);
      picture.setAttribute("aria-valuemin", 0);
      point(0, 0, false);
    };

    const nearest = (event) => {
      const frame = picture.getBoundingClientRect();
      const scale = frame.width / drawn.width;
      const far = (mark) => Math.hypot(mark.px * scale - (event.clientX - frame.left), mark.py * scale - (event.clientY - frame.top));
      let best = [Infinity, 0, 0];
      drawn.series.forEach((marks, i) => marks.forEach((mark, j) => (best = far(mark) < best[0] ? [far(mark), i, j] : best)));
      if (best[0] < 60) point(best[1], best[2], true);
      else leave();
    };

    // To the point of another series that is nearest to where we are.
    const across = (by) => {
      const row = Math.min(Math.max(place[0] + by, 0), drawn.series.length - 1);
      const here = drawn.series[place[0]][place[1]].px;
      const gaps = drawn.series[row].map((mark) => Math.abs(mark.px - here));
      point(row, gaps.indexOf(Math.min(...gaps)), true);
    };

    const keys = {
      ArrowRight: () => point(place[0], place[1] + 1, true),
      ArrowLeft: () => point(place[0], place[1] - 1, true),
      ArrowUp: () => across(-1),
      ArrowDown: () => across(1),
      Home: () => point(place[0], 0, true),
      End: () => point(place[0], Infinity, true),
      Escape: leave,
    };
    picture.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || drawn.series.length === 0) return;
      event.preventDefault();
      keys[event.key]();
    });
    picture.addEventListener("focus", () => point(...place, picture.matches(":focus-visible")));
    picture.addEventListener("blur", leave);
    picture.addEventListener("pointermove", nearest);
    picture.addEventListener("pointerdown", nearest);
    picture.addEventListener("pointerleave", leave);
    numbers.addEventListener("toggle", () => numbers.open && fill());
    const fill = () => numbers.replaceChildren(numbers.firstChild, drawTable(spec.table ?? tableOf(spec)));

    let width = 0;
    new ResizeObserver(() => {
      if (!spec || picture.clientWidth === width || !picture.clientWidth) return;
      width = picture.clientWidth;
      redraw();
    }).observe(picture);

    return {
      elements: [picture, numbers],
      show: (newSpec) => {
        spec = newSpec;
        place = [0, 0];
        redraw();
        width = picture.clientWidth;
        if (numbers.open) fill();
      },
      hide: (names) => {
        hidden = names;
        redraw();
      },
    };
  };

  /** A legend for some charts: a button per series hides it in all of them; with Shift, all others. */
  const makeLegend = (series, group) => {
    const hidden = new Set();
    const buttons = series.map((one) => {
      const attributes = { type: "button", "aria-pressed": "true", title: "Hide or show; with Shift: this one alone" };
      const button = html("button", attributes, plot.swatch(one), one.name);
      button.addEventListener("click", (event) => {
        const alone = series.length - hidden.size === 1 && !hidden.has(one.name);
        if (event.shiftKey) series.forEach(({ name }) => hidden[name === one.name || alone ? "delete" : "add"](name));
        else if (!hidden.delete(one.name)) hidden.add(one.name);
        buttons.forEach((each, i) => each.setAttribute("aria-pressed", String(!hidden.has(series[i].name))));
        group.forEach((chart) => chart.hide(hidden));
      });
      return button;
    });
    return html("div", { class: "legend", role: "group", "aria-label": "Legend: shown series" }, ...buttons);
  };

  return { makeChart, makeLegend };
})();
