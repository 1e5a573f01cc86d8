// Every page: the theme, tables that sort and filter, the legend of the charts, the switch of the coloured grids. No page needs it to be read.
"use strict";

(() => {
  const root = document.documentElement;
  const stored = (key, value) => {
    // A browser may refuse storage to pages that are opened from disk: then the choice lasts as long as the page.
    try {
      if (value === undefined) return localStorage.getItem(key);
      localStorage.setItem(key, value);
    } catch (refused) {
      return null;
    }
    return value;
  };
  const theme = stored("vlagym-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  function startTheme() {
    const button = document.getElementById("theme");
    const prefersDark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
    const show = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `${button.textContent} colours`); };
    button.addEventListener("click", () => { root.dataset.theme = stored("vlagym-theme", isDark() ? "light" : "dark") || (isDark() ? "light" : "dark"); show(); });
    prefersDark.addEventListener("change", show);
    button.hidden = false;
    show();
  }

  // ---------------------------------------------------------------------------------------------------------------- tables
  const key = (cell, isNumber) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    return isNumber ? (text === "" ? null : Number(text)) : text;
  };

  // Sorts by a column. Rows without a value come last whichever way; rows that are equal stay in their order.
  function sort(table, th, descending) {
    const column = [...th.parentElement.children].indexOf(th);
    const isNumber = th.querySelector("button").dataset.sort === "number";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row.cells[column], isNumber), row]);
    const order = new Intl.Collator("en", { numeric: true });
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return (isNumber ? a - b : order.compare(a, b)) * (descending ? -1 : 1);
    });
    body.append(...rows.map(([, row]) => row));
    for (const other of th.parentElement.children) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  function startSorting(table) {
    for (const th of table.tHead.rows[0].cells) {
      const button = th.querySelector("button");
      if (!button) continue;
      button.addEventListener("click", () => {
        const now = th.getAttribute("aria-sort");
        sort(table, th, now === "none" ? button.dataset.sort === "number" : now === "ascending");
      });
    }
  }

  function startFiltering(box) {
    const table = document.getElementById(box.dataset.filters);
    const [text, roles, told] = [box.querySelector("[type=search]"), box.querySelector("[type=checkbox]"), box.querySelector(".told")];
    const rows = [...table.tBodies[0].rows];
    if (!rows.some((row) => row.dataset.role)) roles.parentElement.hidden = true;
    const apply = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const names = [...row.querySelectorAll("th, td:not(.num)")].map((cell) => `${cell.textContent} ${cell.dataset.v ?? ""}`).join(" ").toLowerCase();
        row.hidden = !words.every((word) => names.includes(word)) || (!roles.checked && Boolean(row.dataset.role));
        shown += !row.hidden;
      }
      told.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
    };
    text.addEventListener("input", apply);
    roles.addEventListener("change", apply);
    box.hidden = rows.length < 2;
    apply();
  }

  // ---------------------------------------------------------------------------------------------------------------- charts
  const FEW = 2; // up to so many curves have bands, as in curves.py

  function startLegend() {
    for (const button of document.querySelectorAll("[data-toggles]")) {
      button.addEventListener("click", () => {
        const isShown = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(isShown));
        for (const group of document.querySelectorAll(`[data-curve="${button.dataset.toggles}"]`)) group.classList.toggle("off", !isShown);
        const few = document.querySelectorAll('[data-toggles][aria-pressed="true"]').length <= FEW;
        for (const panels of document.querySelectorAll(".panels")) panels.classList.toggle("few", few);
      });
    }
  }

  function startGrids() {
    const box = document.querySelector("[data-heat-switch]");
    if (!box) return;
    const maps = [...document.querySelectorAll(".heatmap")];
    const select = box.querySelector("select");
    maps.forEach((map, i) => select.append(new Option(map.dataset.policy, String(i))));
    const choose = () => maps.forEach((map, i) => { map.hidden = i !== Number(select.value); });
    const buttons = [...box.querySelectorAll("[data-heat]")];
    const scale = document.querySelector(".scale");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        for (const map of maps) map.querySelector("table").dataset.show = button.dataset.heat;
        scale.dataset.show = button.dataset.heat;
      });
    }
    select.addEventListener("change", choose);
    const first = maps.findIndex((map) => !map.querySelector("h3 .tag"));
    select.value = String(Math.max(first, 0));
    choose();
    box.hidden = false;
  }

  document.addEventListener("DOMContentLoaded", () => {
    startTheme();
    document.querySelectorAll("table.sortable").forEach(startSorting);
    document.querySelectorAll("[data-filters]").forEach(startFiltering);
    startLegend();
    startGrids();
  });
})();
