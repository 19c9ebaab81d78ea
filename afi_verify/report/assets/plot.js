// One plot as SVG. It is handed
//   { x: { name, log }, y: { name, log, low, high }, limit, limitName, height,
//     series: [{ name, look, line, points: [{ x, y, low, high, blind, tip }] }] }
// where look is the number of a colour and shape, or a class; low and high of a point are the ends of its error bar;
// blind points are hollow. What is not finite, or beyond an axis, stands at its edge as a triangle.
const plot = (() => {
  const { finite, number } = page;
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 64;
  const RIGHT = 14;
  const TOP = 14;
  const BOTTOM = 42;
  const LOOKS = 8;

  const make = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // ---- scales: functions from numbers to places between 0 and 1, and their ticks

  const nice = (rough) => {
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= rough * 0.999);
  };

  const evenTicks = (low, high, most) => {
    const step = nice((high - low) / most);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
    return ticks;
  };

  const logTicks = (low, high, most) => {
    const decades = Math.log10(high / low);
    const parts = decades < 2 ? [1, 2, 5] : [1];
    const step = Math.max(1, Math.ceil(decades / most));
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += step) {
      for (const part of parts) ticks.push(part * 10 ** e);
    }
    return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  };

  const scaleOf = (axis, values, most, room) => {
    const log = axis.log;
    const usable = values.filter((value) => finite(value) && (!log || value > 0));
    let low = Math.min(...usable, ...(finite(axis.reach?.[0]) ? [axis.reach[0]] : []));
    let high = Math.max(...usable, ...(finite(axis.reach?.[1]) ? [axis.reach[1]] : []));
    if (!finite(low)) [low, high] = log ? [0.1, 10] : [0, 1];
    if (finite(axis.low)) low = Math.max(low, axis.low);
    if (finite(axis.high)) high = Math.min(high, axis.high);
    if (high <= low) [low, high] = log ? [low / 2, low * 2] : [low - 1, low + 1];
    if (room && log) [low, high] = [low / (high / low) ** room, high * (high / low) ** room];
    else if (room) [low, high] = [low - room * (high - low), high + room * (high - low)];
    const along = log ? (v) => Math.log(v / low) / Math.log(high / low) : (v) => (v - low) / (high - low);
    const edge = (value) => (value === "nan" || value === "inf" ? 1 : value === "-inf" || value <= low ? 0 : 1);
    const at = (value) => {
      const inside = finite(value) && (!log || value > 0) && value >= low * (log ? 0.999 : 1) - (log ? 0 : 1e-9);
      return inside && along(value) <= 1.0001 ? along(value) : edge(value);
    };
    const beyond = (value) => {
      if (!finite(value)) return edge(value) ? 1 : -1;
      if (value > high * (1 + 1e-9 * Math.sign(high))) return 1;
      return (log && value <= 0) || value < low - 1e-9 * Math.abs(low) ? -1 : 0;
    };
    const exact = log && axis.exact ? [...new Set(usable)].sort((a, b) => a - b) : [];
    const ticks = exact.length && exact.length <= 12 ? exact : (log ? logTicks : evenTicks)(low, high, most);
    return { at, beyond, ticks };
  };

  // ---- drawing

  const drawAxes = (svg, spec, x, y, width, height) => {
    const bottom = height - BOTTOM;
    for (const tick of y.ticks) {
      const place = y.pixel(tick);
      svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: place, y2: place }));
      svg.append(make("text", { x: LEFT - 8, y: place + 4, "text-anchor": "end" }, number(Number(tick.toPrecision(6)))));
    }
    let free = -Infinity; // labels that would touch are left out
    for (const tick of x.ticks) {
      const label = number(Number(tick.toPrecision(6)));
      const place = x.pixel(tick);
      svg.append(make("line", { class: "tick", x1: place, x2: place, y1: bottom, y2: bottom + 4 }));
      if (place - label.length * 4 < free) continue;
      free = place + label.length * 4 + 6;
      svg.append(make("text", { x: place, y: bottom + 17, "text-anchor": "middle" }, label));
    }
    svg.append(make("text", { x: (LEFT + width - RIGHT) / 2, y: height - 7, "text-anchor": "middle" }, spec.x.name));
    const middle = (TOP + bottom) / 2;
    const turned = { x: 10, y: middle, transform: `rotate(-90 10 ${middle})`, "text-anchor": "middle" };
    svg.append(make("text", turned, spec.y.name));
    if (!finite(spec.limit)) return;
    const place = y.pixel(spec.limit);
    svg.append(make("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: place, y2: place }));
    const above = { class: "limit-name", x: width - RIGHT, y: place - 4, "text-anchor": "end" };
    svg.append(make("text", above, spec.limitName));
  };

  const SHAPES = [
    (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
    (x, y, r) => `M${x - r * 0.9},${y - r * 0.9}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
    (x, y, r) => `M${x},${y - r * 1.3}l${r * 1.3},${r * 1.3}l${-r * 1.3},${r * 1.3}l${-r * 1.3},${-r * 1.3}z`,
    (x, y, r) => `M${x - r * 1.1},${y + r * 0.9}h${2.2 * r}l${-1.1 * r},${-2 * r}z`,
    (x, y, r) => `M${x - r * 1.1},${y - r * 0.9}h${2.2 * r}l${-1.1 * r},${2 * r}z`,
  ];
  const AT_EDGE = { 1: (x, y) => `M${x - 5},${y + 5}h10l-5,-9z`, "-1": (x, y) => `M${x - 5},${y - 5}h10l-5,9z` };

  const classOf = (look) => (typeof look === "number" ? `look-${look % LOOKS}${look >= LOOKS ? " again" : ""}` : look);
  const shapeOf = (look) => SHAPES[typeof look === "number" ? (look + Math.floor(look / LOOKS)) % SHAPES.length : 0];
  const radiusOf = (look) => ({ worst: 4.2, median: 2.2 })[look] ?? 3.2;

  /** A small picture of a series, for the legend. */
  const swatch = (series) => {
    const svg = make("svg", { viewBox: "0 0 22 12", width: 22, height: 12, "aria-hidden": "true" });
    const group = make("g", { class: `series ${classOf(series.look)}` });
    if (series.line) group.append(make("polyline", { points: "1,6 21,6" }));
    group.append(make("path", { class: "mark", d: shapeOf(series.look)(11, 6, radiusOf(series.look)) }));
    svg.append(group);
    return svg;
  };

  const drawSeries = (svg, series, x, y) => {
    const group = make("g", { class: `series ${classOf(series.look)}`, "data-name": series.name });
    const drawn = series.points
      .filter((point) => point.y !== null && point.y !== undefined && finite(point.x))
      .map((point) => ({ ...point, series: series.name, px: x.pixel(point.x), py: y.pixel(point.y), side: y.beyond(point.y) }));
    if (series.line) {
      const runs = [[]];
      for (const point of [...drawn].sort((a, b) => a.x - b.x)) {
        if (point.side) runs.push([]);
        else runs.at(-1).push(`${point.px.toFixed(1)},${point.py.toFixed(1)}`);
      }
      for (const run of runs.filter((run) => run.length > 1)) group.append(make("polyline", { points: run.join(" ") }));
    }
    for (const point of drawn) {
      if (finite(point.low) && finite(point.high)) {
        group.append(make("line", { class: "bar", x1: point.px, x2: point.px, y1: y.pixel(point.low), y2: y.pixel(point.high) }));
      }
    }
    for (const point of drawn) {
      const shape = AT_EDGE[point.side] ?? shapeOf(series.look);
      const d = shape(Number(point.px.toFixed(1)), Number(point.py.toFixed(1)), radiusOf(series.look));
      group.append(make("path", { class: `mark${point.blind ? " blind" : ""}${point.side ? " edge" : ""}`, d }));
    }
    svg.append(group);
    return drawn;
  };

  /** Draw what is not hidden; return the element, and its points with their pixels. */
  const draw = (spec, width, hidden = new Set()) => {
    const height = spec.height ?? 250;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const shown = spec.series.filter((series) => !hidden.has(series.name));
    const points = shown.flatMap((series) => series.points);
    const bars = points.flatMap((point) => [point.y, point.low, point.high]);
    const x = scaleOf(spec.x, points.map((point) => point.x), width / 80, 0.02);
    const y = scaleOf(spec.y, finite(spec.limit) ? [...bars, spec.limit] : bars, (height - TOP - BOTTOM) / 32, 0.06);
    x.pixel = (value) => LEFT + (width - LEFT - RIGHT) * x.at(value);
    y.pixel = (value) => TOP + (height - TOP - BOTTOM) * (1 - y.at(value));
    drawAxes(svg, spec, x, y, width, height);
    const drawn = shown.map((series) => drawSeries(svg, series, x, y));
    const ring = make("circle", { class: "ring", r: 8, visibility: "hidden" });
    svg.append(ring);
    return { svg, ring, width, series: drawn.filter((points) => points.length) };
  };

  return { draw, swatch };
})();
