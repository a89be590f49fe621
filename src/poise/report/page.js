"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const widths = { phone: 640, tablet: 860 };
  const upTo = (screen) => window.innerWidth <= widths[screen];

  // Figures name their colours "var(--ink)"; the stylesheet knows what that is in this reader's theme.
  function themed(node) {
    if (typeof node === "string") {
      const name = /^var\((--[a-z-]+)\)$/.exec(node);
      return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : node;
    }
    if (Array.isArray(node)) return node.map(themed);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, themed(value)]));
  }

  // A small screen has no room for names beside points, a smaller one not even for every tick.
  function fold(layout, arms) {
    if (upTo("tablet") && layout.annotations?.length) {
      layout.annotations = [];
      layout.showlegend = true;
      layout.height += 12 * arms;
    }
    for (const list of upTo("phone") ? ["tickvals", "ticktext"] : []) {
      const ticks = layout.xaxis[list];
      if (ticks?.length > 4) layout.xaxis[list] = ticks.filter((_, index) => index % 2 === 0);
    }
  }

  function draw(place) {
    const figure = themed(structuredClone(figures[place.dataset.figure]));
    const lines = themed({ gridcolor: "var(--soft)", linecolor: "var(--line)", zerolinecolor: "var(--soft)" });
    const layout = { ...figure.layout, hoverlabel: themed({ bgcolor: "var(--card)", font: { color: "var(--ink)" } }) };
    for (const axis of ["xaxis", "yaxis"]) layout[axis] = { ...lines, automargin: true, fixedrange: upTo("phone"), ...layout[axis] };
    fold(layout, figure.data.length);
    Plotly.react(place, figure.data, layout, {
      responsive: true, displaylogo: false, displayModeBar: upTo("phone") ? false : "hover",
      modeBarButtons: [["toImage", "resetScale2d"]],
    });
  }

  const places = [...document.querySelectorAll("[data-figure]")];
  const drawn = new Set();
  const watcher = new IntersectionObserver((seen) => {  // a figure is drawn when the reader comes near it
    for (const { isIntersecting, target } of seen) {
      if (isIntersecting && !drawn.has(target)) { drawn.add(target); draw(target); }
    }
  }, { rootMargin: "600px" });
  places.forEach((place) => watcher.observe(place));
  const redraw = () => drawn.forEach(draw);
  const drawAll = () => places.forEach((place) => { drawn.add(place); draw(place); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const width of Object.values(widths)) matchMedia(`(max-width: ${width}px)`).addEventListener("change", redraw);
  window.addEventListener("beforeprint", drawAll);

  for (const group of document.querySelectorAll(".switch")) {
    const buttons = [...group.querySelectorAll("button")];
    const press = (chosen) => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === chosen)));
      const chart = chosen.dataset.axis && document.getElementById(chosen.dataset.on);
      if (chart) { chart.dataset.figure = chosen.dataset.axis; draw(chart); }
      if (chosen.dataset.shows) {
        for (const part of document.querySelectorAll(".example")) part.hidden = part.dataset.arm !== chosen.dataset.shows;
      }
    };
    buttons.forEach((button) => button.addEventListener("click", () => press(button)));
    if (buttons[0]?.dataset.shows) press(buttons[0]);
  }

  for (const heading of document.querySelectorAll("th[data-sort]")) {
    const sort = () => {
      const body = heading.closest("table").tBodies[0];
      const column = heading.cellIndex, up = heading.getAttribute("aria-sort") === "descending";
      const key = (row) => row.cells[column].dataset.key;
      const order = (a, b) => (isNaN(key(a)) || isNaN(key(b)) ? key(a).localeCompare(key(b)) : key(a) - key(b));
      [...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))).forEach((row) => body.append(row));
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentNode.querySelector("code");
      try { await navigator.clipboard.writeText(code.textContent); button.textContent = "Copied"; }
      catch { getSelection().selectAllChildren(code); button.textContent = "Selected"; }  // no clipboard from file://
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }
})();
