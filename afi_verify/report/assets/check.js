// The plots of checks: from [limit, by log-SNR, by dimension, by atoms], where each bin is
// [low, high, points, telling, median, worst, place of the worst].
const checkPlots = (() => {
  const { html, finite, number, times } = page;
  const AXES = [
    { name: "log-SNR", log: false, reach: [-20, 20] },
    { name: "dimension", log: true, exact: true },
    { name: "number of atoms", log: true, exact: true },
  ];
  const LOWEST = 0.01; // nobody needs to tell smaller errors apart

  const range = (bin) => (bin[0] === bin[1] || !finite(bin[0]) ? number(bin[0]) : `${number(bin[0])} to ${number(bin[1])}`);
  const count = (bin) => `${bin[2]} point${bin[2] === 1 ? "" : "s"}`;
  const yAxis = { name: "error / attainable", log: true, low: LOWEST, reach: [0.3] };

  const worst = (bins, axis, who) =>
    bins.map((bin) => {
      const [, , , telling, , value, at] = bin;
      const place = `${axis.name} ${number(at)}${telling > 0 ? "" : ", no evidence"}, ${count(bin)}`;
      return { x: axis.log ? Math.max(at, 1) : at, y: value, blind: telling === 0, tip: `${who} ${times(value)}, ${place}` };
    });

  const median = (bins, axis) =>
    bins.map((bin) => {
      const middle = axis.log ? Math.sqrt(Math.max(bin[0], 1) * Math.max(bin[1], 1)) : (bin[0] + bin[1]) / 2;
      return { x: middle, y: bin[4], tip: `median ${times(bin[4])}, ${axis.name} ${range(bin)}, ${count(bin)}` };
    });

  const base = (axis, limit) => {
    const rule = finite(limit) && limit > 0 ? limit : 1;
    return { x: axis, y: { ...yAxis, reach: [0.3, 3 * rule] }, limit: rule, limitName: `limit ${times(rule)}`, height: 220 };
  };

  const specOf = ([limit, ...data], i) => {
    const axis = AXES[i];
    const bins = data[i].filter((bin) => finite(bin[0]));
    const rows = data[i].map((bin) => [range(bin), ...bin.slice(2).map(number)]);
    return {
      ...base(axis, limit),
      series: [
        { name: "worst", look: "worst", line: false, points: worst(bins, axis, "worst") },
        { name: "median", look: "median", line: true, points: median(bins, axis) },
      ],
      table: {
        caption: "Errors, in multiples of the attainable",
        head: [axis.name, "Points", "Telling", "Median", "Worst", "Worst at"],
        rows,
      },
    };
  };

  /** The worst errors of several checks in one plot: checks is a list of { name, data }. */
  const beside = (checks, i) => {
    const axis = AXES[i];
    const series = checks.map(({ name, data }, look) => {
      const bins = data[1 + i].filter((bin) => finite(bin[0]));
      return { name, look, line: true, points: worst(bins, axis, `${name}: worst`) };
    });
    return { ...base(axis, Math.max(...checks.map(({ data }) => data[0]))), height: 300, series };
  };

  /** Fill a box with a choice of axis, a legend and a chart of what `make` returns for the axis. */
  const fill = (box, label, make) => {
    const chart = charts.makeChart(label);
    const buttons = AXES.map((axis) => html("button", { type: "button" }, `by ${axis.name}`));
    const choose = (i) => {
      buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
      chart.show(make(i));
    };
    buttons.forEach((button, i) => button.addEventListener("click", () => choose(i)));
    const choice = html("div", { class: "choice", role: "group", "aria-label": "Axis of the plot" }, ...buttons);
    const legend = charts.makeLegend(make(0).series, [chart]);
    box.replaceChildren(html("div", { class: "plot-tools" }, choice, legend), ...chart.elements);
    choose(0);
  };

  const start = (box) => {
    if (box.childElementCount) return;
    const data = JSON.parse(box.dataset.plot);
    fill(box, "Points of the plot", (i) => specOf(data, i));
    box.dataset.state = "drawn";
  };

  return { start, fill, beside };
})();
