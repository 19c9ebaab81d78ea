// Several adapters side by side: the worst errors of one claim, a line per adapter.
const beside = (() => {
  /** Start the choice of a row; `plotOf` returns the numbers of a check's plot, or nothing; `changed` is told. */
  const start = (plotOf, changed) => {
    const section = document.getElementById("side-by-side");
    if (!section) return { row: "", choose: () => {} };
    const select = section.querySelector("select");
    const box = section.querySelector(".plot");
    const state = { row: "", choose: () => {} };
    section.hidden = false;

    const draw = async () => {
      const anchors = select.selectedOptions[0].dataset.checks.split(" ");
      const checks = [];
      for (const anchor of anchors) {
        const data = await plotOf(anchor);
        if (data) checks.push({ name: document.getElementById(anchor)?.dataset.adapter ?? anchor, data: JSON.parse(data) });
      }
      const label = `Worst errors of ${select.value}, by adapter`;
      if (checks.length) checkPlots.fill(box, label, (i) => checkPlots.beside(checks, i));
      else box.textContent = "There is no room for these numbers here: they are in results.json.";
    };
    select.addEventListener("change", () => {
      state.row = select.value;
      changed();
      draw().catch(console.error);
    });
    state.choose = async (row) => {
      if (![...select.options].some((option) => option.value === row)) return;
      state.row = row;
      select.value = row;
      await draw();
    };
    // Drawn when it is come to, since the numbers have to be unpacked.
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      if (!box.childElementCount) draw().catch(console.error);
    }, { rootMargin: "400px" });
    watch.observe(section);
    return state;
  };

  return { start };
})();
