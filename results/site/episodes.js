// The page of episodes: a list in pages of 50 that filters and sorts, and one episode beside its unvaried twin.
// The data files of the folder call vlagymData. Everything is put into the page as text, never as markup.
"use strict";

(() => {
  const PAGE = 50;
  const { title } = document;
  const FIELDS = ["text", "outcome", "mode", "task", "axis", "run", "media"];
  const chunks = new Map(); // number -> rows, once they have arrived
  const waiting = new Map(); // number -> [resolve, reject]
  const loading = new Map(); // number -> promise
  let data = null;
  let sorting = { key: null, descending: false };
  let page = 0;
  let found = [];
  let lowered = [];
  let filter = ""; // of the list, to come back to from an episode

  globalThis.vlagymData = (kind, value) => {
    if (kind === "index") {
      data = value;
    } else {
      chunks.set(value.chunk, value.rows);
      waiting.get(value.chunk)?.[0](value.rows);
    }
  };

  const at = (id) => document.getElementById(id);
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== null && text !== undefined) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const spaced = (text) => text.replaceAll("_", " ");
  const outcome = (i) => data.outcomes[data.columns.outcome[i]];
  const sentence = (i) => data.sentences[data.columns.sentence[i]];
  const mode = (i) => data.modes[data.columns.mode[i]];
  const task = (i) => data.tasks[data.columns.task[i]];
  const axes = (i) => data.axes[data.columns.axes[i]];
  const twinOf = (i) => data.columns.twin[i];
  const twinOutcome = (i) => (twinOf(i) < 0 ? "" : outcome(twinOf(i)));
  const values = { sentence, twin: twinOutcome, outcome, mode, task, axes, seed: (i) => data.columns.seed[i], steps: (i) => data.columns.steps[i], time: (i) => data.columns.time[i] };

  // -------------------------------------------------------------------------------------------------------------------- address
  const asked = () => new URLSearchParams(location.hash.slice(1));
  const addressOf = (i) => `#e=${data.columns.digest[i]}${data.runs.length > 1 ? `&r=${data.columns.run[i]}` : ""}`;
  function addressed() {
    const digest = asked().get("e");
    if (!digest) return null;
    const run = asked().get("r");
    const places = [];
    data.columns.digest.forEach((d, i) => { if (d === digest) places.push(i); });
    return places.find((i) => run !== null && data.columns.run[i] === Number(run)) ?? places[0] ?? -1;
  }

  // ------------------------------------------------------------------------------------------------------------------- the list
  function fill(name, options, all) {
    const select = at("asked").elements[name];
    select.append(new Option(all, ""));
    for (const [value, text, count] of options) select.append(new Option(`${text} (${grouped(count)})`, value));
    if (options.length < 2) select.parentElement.hidden = true;
  }

  function counts(of) {
    const found = new Map();
    for (let i = 0; i < data.columns.digest.length; i++) for (const value of of(i)) found.set(value, (found.get(value) ?? 0) + 1);
    return found;
  }

  let hasTwins = false;
  let named = []; // of each combination of axes and levels, the names of the axes
  const axisNames = (i) => named[data.columns.axes[i]];

  function startList() {
    const listed = (of, text = spaced) => [...counts(of)].filter(([value]) => value !== "").sort(([a], [b]) => (a < b ? -1 : 1)).map(([v, n]) => [v, text(v), n]);
    named = data.axes.map((text) => (text === "" ? ["none"] : text.split(" + ").map((part) => part.replace(/ \d+$/, ""))));
    hasTwins = data.axes.some((text) => text !== "");
    if (!hasTwins) for (const cell of document.querySelectorAll("#list .axes, #list .twin")) cell.hidden = true;
    const outcomes = counts((i) => [outcome(i)]);
    fill("outcome", data.outcomes.filter((o) => outcomes.has(o)).map((o) => [o, o, outcomes.get(o)]), "all");
    fill("mode", listed((i) => [mode(i)]), "all");
    fill("task", listed((i) => [task(i)], String), "all");
    fill("axis", listed(axisNames).sort(([a], [b]) => (b === "none") - (a === "none")), "all");
    const runs = counts((i) => [String(data.columns.run[i])]);
    fill("run", data.runs.map((run, i) => [String(i), `${run.suite}: ${run.name}`, runs.get(String(i)) ?? 0]), "all");
    if (!data.media.length) at("asked").elements.media.parentElement.hidden = true;
    lowered = data.sentences.map((text) => text.toLowerCase());

    at("asked").addEventListener("submit", (event) => event.preventDefault());
    at("asked").addEventListener("input", () => { page = 0; remember(); list(); });
    at("asked").addEventListener("reset", () => setTimeout(() => { page = 0; remember(); list(); }));
    at("before").addEventListener("click", () => turn(-1));
    at("after").addEventListener("click", () => turn(1));
    for (const button of document.querySelectorAll("#list [data-key]")) {
      button.addEventListener("click", () => {
        const isSame = sorting.key === button.dataset.key;
        sorting = { key: button.dataset.key, descending: isSame && !sorting.descending };
        for (const th of document.querySelectorAll("#list th")) th.setAttribute("aria-sort", "none");
        button.parentElement.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
        page = 0;
        list();
      });
    }
  }

  // The filter stands in the address, so that a list can be sent to somebody.
  function remember() {
    const form = at("asked").elements;
    const words = new URLSearchParams();
    for (const name of FIELDS) {
      const value = form[name].type === "checkbox" ? (form[name].checked ? "1" : "") : form[name].value;
      if (value) words.set(name, value);
    }
    filter = String(words);
    history.replaceState(null, "", `${location.pathname}${location.search}${filter ? `#${filter}` : ""}`);
  }

  function recall() {
    const form = at("asked").elements;
    filter = String(asked());
    for (const name of FIELDS) {
      const value = asked().get(name) ?? "";
      if (form[name].type === "checkbox") form[name].checked = value === "1";
      else form[name].value = value;
    }
  }

  function matching() {
    const form = at("asked").elements;
    const text = form.text.value.trim().toLowerCase();
    const says = text ? new Set(lowered.flatMap((s, i) => (s.includes(text) ? [i] : []))) : null;
    const { columns } = data;
    const rows = [];
    for (let i = 0; i < columns.digest.length; i++) {
      if (form.outcome.value && outcome(i) !== form.outcome.value) continue;
      if (form.mode.value && mode(i) !== form.mode.value) continue;
      if (form.task.value && task(i) !== form.task.value) continue;
      if (form.run.value && columns.run[i] !== Number(form.run.value)) continue;
      if (form.axis.value && !axisNames(i).includes(form.axis.value)) continue;
      if (form.media.checked && columns.media[i] < 0) continue;
      if (says && !says.has(columns.sentence[i]) && String(columns.seed[i]) !== text && !columns.digest[i].startsWith(text)) continue;
      rows.push(i);
    }
    if (sorting.key) {
      const of = values[sorting.key];
      const order = new Intl.Collator("en", { numeric: true });
      const keys = new Map(rows.map((i) => [i, of(i)]));
      const compare = (a, b) => (typeof keys.get(a) === "number" ? keys.get(a) - keys.get(b) : order.compare(keys.get(a), keys.get(b)));
      rows.sort((a, b) => (sorting.descending ? -1 : 1) * compare(a, b));
    } else {
      // Each unvaried twin, and then its variations.
      const scene = (i) => (twinOf(i) < 0 ? i : twinOf(i));
      rows.sort((a, b) => scene(a) - scene(b) || (twinOf(a) < 0 ? -1 : a) - (twinOf(b) < 0 ? -1 : b));
    }
    return rows;
  }

  function turn(by) {
    page += by;
    show();
    at("list").closest(".scroll").scrollIntoView({ block: "start" });
  }

  function list() {
    found = matching();
    show();
  }

  function show() {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    const rows = shown.map((i, n) => {
      const isBelowTwin = !sorting.key && twinOf(i) >= 0 && shown.slice(0, n).includes(twinOf(i));
      const row = make("tr", null, isBelowTwin ? { class: `of-twin${sentence(i) === sentence(twinOf(i)) ? " again" : ""}` } : {});
      const says = make("td", null, { class: "sentence" });
      const varied = axes(i) ? spaced(axes(i)) : hasTwins ? "unvaried" : "";
      says.append(make("a", sentence(i) || "(no sentence)", { href: addressOf(i), ...(data.columns.media[i] >= 0 ? { class: "film" } : {}) }));
      if (varied) says.append(make("span", twinOf(i) < 0 ? varied : `${varied}; its twin: ${twinOutcome(i)}`, { class: "axes" }));
      row.append(
        says,
        make("td", varied, { class: "axes", ...(hasTwins ? {} : { hidden: "" }) }),
        make("td", outcome(i), { class: `state ${outcome(i)}` }),
        make("td", twinOutcome(i), { class: twinOf(i) < 0 ? "twin" : `twin state ${twinOutcome(i)}`, ...(hasTwins ? {} : { hidden: "" }) }),
        make("td", spaced(mode(i))),
        make("td", task(i)),
        make("td", data.columns.seed[i], { class: "num" }),
        make("td", data.columns.steps[i], { class: "num" }),
        make("td", data.columns.time[i].toFixed(2), { class: "num" }),
      );
      return row;
    });
    at("list").tBodies[0].replaceChildren(...rows);
    const total = data.columns.digest.length;
    at("told").textContent = found.length === total ? `${grouped(total)} episodes` : `${grouped(found.length)} of ${grouped(total)} episodes`;
    at("place").textContent = `Page ${grouped(page + 1)} of ${grouped(pages)}`;
    at("before").disabled = page === 0;
    at("after").disabled = page === pages - 1;
  }

  // ---------------------------------------------------------------------------------------------------------------- one episode
  function detail(i) {
    const chunk = Math.floor(i / data.chunk);
    if (!loading.has(chunk)) {
      loading.set(chunk, new Promise((resolve, reject) => {
        waiting.set(chunk, [resolve, reject]);
        const script = make("script", null, { src: `${at("episodes").dataset.folder}details-${chunk}.js` });
        script.addEventListener("error", () => { loading.delete(chunk); reject(new Error("the file of its measures is not in this folder")); });
        document.head.append(script);
      }));
    }
    return loading.get(chunk).then((rows) => {
      const [attempt, wall, base, warning, error, measures] = rows[i % data.chunk];
      return { attempt, wall, base, warning, error, measures };
    });
  }

  function side(i, title, isFirst) {
    const box = make("div");
    box.append(make("h3", title));
    const told = make("p");
    told.append(make("span", outcome(i), { class: `state ${outcome(i)}` }), mode(i) ? `, ${spaced(mode(i))}` : "", ` after ${data.columns.time[i].toFixed(2)} s`);
    const says = make("p", null, { class: "sub" });
    if (isFirst) says.textContent = axes(i) ? `varied along ${spaced(axes(i))}` : hasTwins ? "unvaried" : "";
    else says.append("unvaried: ", make("a", sentence(i) || "(no sentence)", { href: addressOf(i) }));
    box.append(told, says);
    const media = data.columns.media[i] < 0 ? null : data.media[data.columns.media[i]];
    if (media === null) {
      const blank = make("div", "No film of this episode is in this folder. It can be rendered from its run:", { class: "blank" });
      blank.append(make("code", `vlagym replay ${quoted(data.runs[data.columns.run[i]].name)} ${data.columns.digest[i].slice(0, 12)} --out film.mp4`));
      box.append(blank);
    } else if (/\.(mp4|webm)$/.test(media)) {
      const video = make("video", null, { src: media, preload: "metadata", playsinline: "", controls: "", "aria-label": `Film: ${sentence(i)}` });
      video.muted = true;
      box.append(video);
    } else {
      const strip = make("div", null, { class: "strip scroll", tabindex: "0", role: "region", "aria-label": "Frames" });
      strip.append(make("img", null, { src: media, alt: `Frames of the episode, first to last: ${sentence(i)}`, loading: "lazy" }));
      box.append(strip);
    }
    return box;
  }

  const quoted = (name) => (/^[\w.:/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

  const told = (value) => {
    if (value === null) return "–";
    const text = Number.isInteger(value) ? String(value) : Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  };

  async function open(i) {
    const article = at("episode");
    const { columns } = data;
    document.title = i < 0 ? title : `${sentence(i)} – ${title}`;
    at("episodes").hidden = true;
    article.hidden = false;
    if (i < 0) {
      const none = make("p", "This episode is not among those that are stored here. ", { class: "lead" });
      none.append(make("a", "All episodes", { href: `#${filter}` }));
      article.replaceChildren(make("h2", "No such episode", { id: "sentence" }), none);
      return;
    }
    const twin = columns.twin[i];
    const back = make("p", null, { class: "crumbs" });
    back.append(make("a", "All episodes", { href: `#${filter}`, id: "back" }));
    const facts = make("p", null, { class: "facts" });
    const run = data.runs[columns.run[i]];
    const spans = [task(i), `seed ${columns.seed[i]}`, `ended by ${spaced(data.endings[columns.ended[i]])}`, `${columns.steps[i]} steps`, `${run.suite}: ${run.name}`];
    facts.append(...spans.map((text) => make("span", text)), make("span", columns.digest[i], { class: "mono" }));
    const pair = make("div", null, { class: "pair" });
    pair.append(side(i, "This episode", true), ...(twin >= 0 ? [side(twin, "Its unvaried twin", false)] : []));
    article.replaceChildren(back, make("h2", sentence(i) || "(no sentence)", { id: "sentence", class: "long", tabindex: "-1" }), facts, pair);
    if (pair.querySelector("img")) pair.classList.add("stacked");
    const videos = [...pair.querySelectorAll("video")];
    if (videos.length === 2) {
      const both = make("button", "Play both from the start", { type: "button", class: "quiet" });
      both.addEventListener("click", () => videos.forEach((video) => { video.currentTime = 0; video.play(); }));
      const place = make("p", null, { class: "both" });
      place.append(both);
      pair.after(place);
    }
    const varied = columns.twin.flatMap((of, n) => (of === i ? [n] : []));
    if (varied.length) {
      const list = make("ul", null, { class: "varied" });
      for (const n of varied) {
        const item = make("li");
        item.append(make("a", spaced(axes(n)), { href: addressOf(n) }), " ", make("span", outcome(n), { class: `state ${outcome(n)}` }));
        list.append(item);
      }
      article.append(make("h3", "Its variations"), list);
    }
    if (data.others.length) {
      const same = make("p", "The same episode, if it was played by ", { class: "sub" });
      data.others.forEach((other, n) => same.append(n ? ", " : "", make("a", other.name, { href: `${other.href}#e=${columns.digest[i]}` })));
      article.append(same);
    }
    at("sentence").focus({ preventScroll: true });
    scrollTo(0, 0);
    try {
      const [mine, its] = await Promise.all([detail(i), twin >= 0 ? detail(twin) : null]);
      if (addressed() === i) measured(article, i, mine, its);
    } catch (missing) {
      if (addressed() === i) article.append(make("p", `Its measures cannot be shown: ${missing.message}.`, { class: "failed" }));
    }
  }

  function measured(article, i, mine, its) {
    if (mine.error) article.append(make("p", `${mine.error[0]}: ${mine.error[1]}`, { class: "failed" }));
    if (mine.warning) article.append(make("p", `Physics: ${mine.warning}`, { class: "failed" }));
    if (mine.base && !its) article.append(make("p", `It is varied; its unvaried twin ${mine.base} is in no run of this row.`, { class: "sub" }));
    if (mine.attempt > 1) article.append(make("p", `Attempt ${mine.attempt} counts; earlier ones ended in an error.`, { class: "sub" }));
    const names = data.measures.flatMap(([name, unit, better], m) => (mine.measures[m] === null && (!its || its.measures[m] === null) ? [] : [[name, unit, better, m]]));
    if (!names.length) return;
    const table = make("table");
    const head = make("tr");
    head.append(make("th", "Measure", { scope: "col" }), make("th", "This episode", { scope: "col", class: "num" }));
    if (its) head.append(make("th", "Its twin", { scope: "col", class: "num" }));
    head.append(make("th", "Unit", { scope: "col" }), make("th", "Better", { scope: "col" }));
    const body = make("tbody");
    for (const [name, unit, better, m] of names) {
      const row = make("tr");
      row.append(make("th", spaced(name), { scope: "row" }), make("td", told(mine.measures[m]), { class: "num" }));
      if (its) row.append(make("td", told(its.measures[m]), { class: "num" }));
      row.append(make("td", unit === "1" ? "" : unit), make("td", better, { class: "none" }));
      body.append(row);
    }
    const top = make("thead");
    top.append(head);
    table.append(top, body);
    const scroll = make("div", null, { class: "scroll", tabindex: "0", role: "region", "aria-label": "Measures" });
    scroll.append(table);
    article.append(make("h3", "Measures"), scroll);
  }

  // ---------------------------------------------------------------------------------------------------------------------- start
  let wasOpen = null;
  function route() {
    const i = addressed();
    if (i !== null) {
      open(i);
    } else {
      document.title = title;
      at("episode").hidden = true;
      at("episodes").hidden = false;
      recall();
      list();
      if (wasOpen !== null && wasOpen >= 0) document.querySelector(`#list a[href="${addressOf(wasOpen)}"]`)?.focus();
    }
    wasOpen = i;
  }

  document.addEventListener("DOMContentLoaded", () => {
    if (data === null) {
      at("content").append(make("p", "The data files of this page are not in this folder: copy the whole folder.", { class: "failed" }));
      return;
    }
    startList();
    addEventListener("hashchange", route);
    route();
  });
})();
