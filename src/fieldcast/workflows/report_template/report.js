"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--figure-ink").trim();
  const config = { responsive: true, displayModeBar: false, doubleClick: "reset" };
  const draw = ([name, figure]) => {
    const box = document.getElementById(name);
    const layout = figure.layout;
    layout.font = { ...layout.font, color: ink() };
    layout.dragmode = coarse ? false : "zoom";
    return Plotly.newPlot(box, figure.data, layout, config);
  };
  // one figure a turn, so that the page can be read and scrolled while they appear
  const next = (place) => {
    if (place === FIGURES.length) { document.documentElement.dataset.figures = "drawn"; return; }
    draw(FIGURES[place]).then(() => setTimeout(next, 0, place + 1));
  };
  next(0);
  dark.addEventListener("change", () => {
    for (const [name] of FIGURES) Plotly.relayout(name, { "font.color": ink() });
  });
})();
