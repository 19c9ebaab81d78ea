"use strict";
// The plots of a check, as SVG, and the table of their numbers: from [limit, by log-SNR, by dimension, by atoms],
// where each bin is [low, high, points, telling, median, worst, place of the worst].
const plots = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 210;
  const LEFT = 74;
  const RIGHT = 14;
  const TOP = 12;
  const BOTTOM = 40;
  const LOWEST = 0.01; // nobody needs to tell smaller errors apart
  const AXES = [
    { name: "log-SNR", log: false },
    { name: "dimension", log: true },
    { name: "number of atoms", log: true },
  ];

  const make = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const html = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const finite = (value) => typeof value === "number" && Number.isFinite(value);

  const number = (value) => {
    if (!finite(value)) return { nan: "NaN", inf: "∞", "-inf": "−∞" }[value] ?? "–";
    const size = Math.abs(value);
    if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(size >= 1000 ? 6 : 3)));
    const [digits, exponent] = value.toExponential(1).split("e");
    const raised = exponent.replace("+", "").replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return `${digits === "1.0" ? "" : `${digits}·`}10${raised}`;
  };

  const times = (value) => (finite(value) ? `${number(value)}×` : "not finite");
  const range = (bin) => (bin[0] === bin[1] || !finite(bin[0]) ? number(bin[0]) : `${number(bin[0])} to ${number(bin[1])}`);

  // ---- scales: functions from numbers to pixels

  const decades = (low, high) => {
    const first = Math.floor(Math.log10(low));
    const last = Math.ceil(Math.log10(high));
    const step = Math.max(1, Math.ceil((last - first) / 6));
    const ticks = [];
    for (let e = first; e <= last; e += step) ticks.push(10 ** e);
    return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  };

  const errorScale = (limit, bins) => {
    const values = bins.flatMap((bin) => [bin[4], bin[5]]).filter((value) => finite(value));
    const rule = finite(limit) && limit > 0 ? limit : 1;
    const low = Math.max(LOWEST, Math.min(0.3, ...values.map((value) => value / 2)));
    const high = 3 * Math.max(rule, ...values);
    const span = Math.log(high / low);
    const at = (value) => {
      const inside = finite(value) ? Math.min(Math.max(value, low), high) : high;
      return TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.log(inside / low) / span);
    };
    return { at, ticks: decades(low, high), rule };
  };

  const placeScale = (axis, bins, width) => {
    let low = Math.min(...bins.map((bin) => bin[0]));
    let high = Math.max(...bins.map((bin) => bin[1]));
    const log = axis.log && low > 0;
    if (log) [low, high] = [low / 1.3, high * 1.3];
    else if (!axis.log) [low, high] = [Math.min(low, -20), Math.max(high, 20)];
    else [low, high] = [low - 1, high + 1];
    const along = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
    const at = (value) => LEFT + (width - LEFT - RIGHT) * along(value);
    const step = 5 * Math.max(1, Math.ceil((high - low) / 50));
    const ticks = axis.log ? [...new Set(bins.map((bin) => bin[1]))] : [];
    if (!axis.log) for (let t = Math.ceil(low / step) * step; t <= high; t += step) ticks.push(t);
    return { at, ticks };
  };

  // ---- drawing

  const drawAxes = (svg, x, y, axis, width) => {
    const bottom = HEIGHT - BOTTOM;
    for (const tick of y.ticks) {
      svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y.at(tick), y2: y.at(tick) }));
      svg.append(make("text", { x: LEFT - 8, y: y.at(tick) + 4, "text-anchor": "end" }, number(tick)));
    }
    let free = -Infinity; // labels that would touch are left out
    for (const tick of x.ticks) {
      const label = number(tick);
      const place = x.at(tick);
      svg.append(make("line", { class: "tick", x1: place, x2: place, y1: bottom, y2: bottom + 4 }));
      if (place - label.length * 4 < free) continue;
      free = place + label.length * 4 + 6;
      svg.append(make("text", { x: place, y: bottom + 17, "text-anchor": "middle" }, label));
    }
    const middle = (LEFT + width - RIGHT) / 2;
    svg.append(make("text", { x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, axis.name));
    const turn = `rotate(-90 11 ${(TOP + bottom) / 2})`;
    svg.append(make("text", { x: 11, y: (TOP + bottom) / 2, transform: turn, "text-anchor": "middle" }, "error / attainable"));
    svg.append(make("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y.at(y.rule), y2: y.at(y.rule) }));
    const above = { class: "limit-name", x: width - RIGHT, y: y.at(y.rule) - 4, "text-anchor": "end" };
    svg.append(make("text", above, `limit ${times(y.rule)}`));
  };

  const marks = (bins, x, y, axis) =>
    bins.flatMap((bin) => {
      const [low, high, points, telling, median, worst, worstAt] = bin;
      const middle = axis.log ? Math.sqrt(Math.max(low, 1) * Math.max(high, 1)) : (low + high) / 2;
      const where = `${axis.name} ${range(bin)}`;
      const count = `${points} point${points === 1 ? "" : "s"}`;
      return [
        { kind: "median", x: x.at(middle), y: y.at(median), finite: finite(median), tip: `median ${times(median)}, ${where}, ${count}` },
        {
          kind: telling > 0 ? "worst" : "worst blind", x: x.at(worstAt), y: y.at(worst), finite: finite(worst),
          tip: `worst ${times(worst)}, ${axis.name} ${number(worstAt)}${telling > 0 ? "" : ", no evidence"}, ${count}`,
        },
      ];
    });

  const shape = (mark) => {
    if (mark.finite) return make("circle", { class: mark.kind, cx: mark.x, cy: mark.y, r: mark.kind === "median" ? 2.2 : 4.2 });
    return make("path", { class: mark.kind, d: `M${mark.x - 5},${mark.y + 5}h10l-5,-9z` });
  };

  const draw = (picture, limit, axis, bins) => {
    const width = Math.max(320, Math.min(picture.clientWidth || 720, 1000));
    const shown = bins.filter((bin) => finite(bin[0]));
    const svg = make("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    if (shown.length === 0) return { svg, points: [] };
    const x = placeScale(axis, shown, width);
    const y = errorScale(limit, shown);
    drawAxes(svg, x, y, axis, width);
    const points = marks(shown, x, y, axis);
    const line = points.filter((mark) => mark.kind === "median" && mark.finite);
    svg.append(make("polyline", { class: "median", points: line.map((mark) => `${mark.x},${mark.y}`).join(" ") }));
    for (const mark of points) svg.append(shape(mark));
    return { svg, points, width };
  };

  const table = (axis, bins) => {
    const head = [axis.name, "Points", "Telling", "Median", "Worst", "Worst at"];
    const rows = bins.map((bin) => [range(bin), ...bin.slice(2).map(number)]);
    const cells = (row) => row.map((text, i) => (i ? html("td", {}, text) : html("th", { scope: "row" }, text)));
    return html(
      "table", {},
      html("caption", {}, "Errors, in multiples of the attainable"),
      html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
      html("tbody", {}, ...rows.map((row) => html("tr", {}, ...cells(row)))),
    );
  };

  // The picture is a slider for the keyboard and for screen readers: arrows walk along its points.
  const start = (box) => {
    if (box.childElementCount) return;
    const [limit, ...data] = JSON.parse(box.dataset.plot);
    const picture = html("div", { class: "picture-box", tabindex: "0", role: "slider", "aria-label": "Points of the plot" });
    const tip = html("div", { class: "tip" });
    const numbers = html("details", { class: "numbers" }, html("summary", {}, "Numbers of this plot"));
    const buttons = AXES.map((axis) => html("button", { type: "button" }, `by ${axis.name}`));
    const choice = html("div", { class: "choice", role: "group", "aria-label": "Axis of the plot" }, ...buttons);
    let current = 0;
    let drawn = { points: [], width: 1 };
    let chosen = 0;

    const point = (index, show) => {
      if (drawn.points.length === 0) return;
      chosen = Math.min(Math.max(index, 0), drawn.points.length - 1);
      const mark = drawn.points[chosen];
      picture.setAttribute("aria-valuenow", chosen);
      picture.setAttribute("aria-valuetext", mark.tip);
      tip.hidden = !show;
      tip.textContent = mark.tip;
      const scale = picture.clientWidth / drawn.width;
      const left = Math.min(Math.max(mark.x * scale - tip.offsetWidth / 2, 0), picture.clientWidth - tip.offsetWidth);
      tip.style.left = `${left}px`;
      tip.style.top = `${mark.y * scale - tip.offsetHeight - 10}px`;
    };

    const redraw = () => {
      drawn = draw(picture, limit, AXES[current], data[current]);
      picture.replaceChildren(drawn.svg, tip);
      picture.setAttribute("aria-valuemin", 0);
      picture.setAttribute("aria-valuemax", Math.max(drawn.points.length - 1, 0));
      picture.setAttribute("aria-valuenow", 0);
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === current)));
      numbers.replaceChildren(numbers.firstChild, table(AXES[current], data[current]));
      point(0, false);
    };

    const nearest = (event) => {
      const frame = picture.getBoundingClientRect();
      const scale = frame.width / drawn.width;
      const far = (mark) => Math.hypot(mark.x * scale - (event.clientX - frame.left), mark.y * scale - (event.clientY - frame.top));
      const best = drawn.points.reduce((a, mark, i) => (far(mark) < far(drawn.points[a]) ? i : a), 0);
      if (drawn.points.length) point(best, far(drawn.points[best]) < 60);
    };

    const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -1e6, End: 1e6 };
    picture.addEventListener("keydown", (event) => {
      if (!(event.key in move)) return;
      event.preventDefault();
      point(chosen + move[event.key], true);
    });
    picture.addEventListener("focus", () => point(chosen, picture.matches(":focus-visible")));
    picture.addEventListener("blur", () => (tip.hidden = true));
    picture.addEventListener("pointermove", nearest);
    picture.addEventListener("pointerleave", () => (tip.hidden = true));
    buttons.forEach((button, i) => button.addEventListener("click", () => ((current = i), redraw())));
    box.append(choice, picture, numbers);
    redraw();
    box.dataset.state = "drawn";
    let width = picture.clientWidth;
    new ResizeObserver(() => {
      if (picture.clientWidth === width || !picture.clientWidth) return;
      width = picture.clientWidth;
      redraw();
    }).observe(picture);
  };

  return { start, number, times, html };
})();
