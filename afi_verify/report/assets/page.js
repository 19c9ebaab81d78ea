"use strict";
// What all pages share: making elements, writing numbers, the address, the theme.
const page = (() => {
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
    const short = () => String(Number(value.toPrecision(size >= 1000 ? 6 : 3))).replace("-", "−");
    if (value === 0 || (size >= 1e-3 && size < 1e5)) return short();
    const [digits, exponent] = value.toExponential(1).replace(/^-/, "−").split("e");
    const raised = exponent.replace("+", "").replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return `${digits === "1.0" ? "" : `${digits}·`}10${raised}`;
  };

  const times = (value) => (finite(value) ? `${number(value)}×` : "not finite");

  // The address holds what is looked at and what is searched for: #a1-c2&verdict=fail&q=digits
  const readAddress = () => {
    const [first, ...rest] = location.hash.slice(1).split("&");
    const isTarget = first && !first.includes("=");
    const state = new URLSearchParams((isTarget ? rest : [first, ...rest]).join("&"));
    return { target: isTarget ? decodeURIComponent(first) : "", state };
  };

  const writeAddress = (target, state) => {
    const words = String(new URLSearchParams(Object.entries(state).filter(([, value]) => value)));
    const hash = [encodeURIComponent(target), words].filter(Boolean).join("&");
    history.replaceState(null, "", hash ? `#${hash}` : location.href.split("#")[0]);
  };

  // Once the browser has gone to the address by itself, which takes the focus away from where we put it.
  const loaded = () =>
    new Promise((resolve) => {
      if (document.readyState === "complete") setTimeout(resolve);
      else window.addEventListener("load", () => setTimeout(resolve));
    });

  const searchByKey = (field) =>
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
      event.preventDefault();
      field.focus();
    });

  const hasWords = (text, wanted) => wanted.toLowerCase().split(/\s+/).every((word) => text.includes(word));

  const startTheme = () => {
    const root = document.documentElement;
    const choices = ["auto", "light", "dark"];
    const button = html("button", { type: "button", class: "theme" });
    const set = (theme) => {
      if (theme === "auto") delete root.dataset.theme;
      else root.dataset.theme = theme;
      button.textContent = `Theme: ${theme}`;
      try {
        localStorage.setItem("afi-verify-theme", theme);
      } catch {
        // A page from file:// may have no storage: the choice then lasts as long as the page.
      }
    };
    button.addEventListener("click", () => set(choices[(choices.indexOf(root.dataset.theme ?? "auto") + 1) % 3]));
    document.querySelector("header nav").append(button);
    let stored = null;
    try {
      stored = localStorage.getItem("afi-verify-theme");
    } catch {
      // As above.
    }
    set(choices.includes(stored) ? stored : "auto");
  };

  return { html, finite, number, times, readAddress, writeAddress, loaded, searchByKey, hasWords, startTheme };
})();
