// Search over search-index.js, which is read when somebody first looks for something. What was found is
// written as text, never as markup.
"use strict";
(() => {
  const root = document.currentScript.dataset.root;
  const input = document.getElementById("q"), list = document.getElementById("hits");
  let rows = null, chosen = -1;

  // found is what the index calls.
  window.found = (all) => {
    rows = all.map((r) => ({ ...r, low: { page: r.page.toLowerCase(), heading: r.heading.toLowerCase(), text: r.text.toLowerCase() } }));
    show();
  };

  function load() {
    if (document.getElementById("index")) return;
    const s = document.createElement("script");
    s.id = "index";
    s.src = root + "search-index.js";
    document.head.append(s);
  }

  // A term matches words that begin with it; endings are taken off, so that approve finds approval.
  function stem(term) {
    return term.length > 5 ? term.replace(/(ations?|als?|ing|ed|es|e|s)$/, "") : term;
  }
  const quote = (s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const begins = (term) => new RegExp("(?<![\\p{L}\\p{N}])" + quote(stem(term)), "gu");

  function points(row, terms) {
    let sum = 0;
    for (const t of terms) {
      const inText = Math.min((row.low.text.match(t) || []).length, 8);
      const inHeading = t.test(row.low.heading); t.lastIndex = 0;
      const inPage = t.test(row.low.page); t.lastIndex = 0;
      if (!inText && !inHeading && !inPage) return 0;
      sum += inText / (1 + row.text.length / 8000) + (inHeading ? 14 / (1 + row.heading.length / 60) : 0) + (inPage ? 6 : 0);
    }
    return sum * row.weight;
  }

  function marked(text, terms) {
    const at = Math.min(...terms.map((t) => { const m = text.toLowerCase().search(new RegExp(t.source, "u")); return m < 0 ? Infinity : m; }));
    const from = at === Infinity ? 0 : Math.max(0, at - 40);
    const cut = (from ? "…" : "") + text.slice(from, from + 160);
    const any = new RegExp("(" + terms.map((t) => t.source + "[\\p{L}\\p{N}]*").join("|") + ")", "giu");
    const out = document.createElement("span");
    let last = 0;
    for (const m of cut.matchAll(any)) {
      const hit = document.createElement("mark");
      hit.textContent = m[0];
      out.append(cut.slice(last, m.index), hit);
      last = m.index + m[0].length;
    }
    out.append(cut.slice(last));
    return out;
  }

  function line(row, terms, n) {
    const item = document.createElement("li"), a = document.createElement("a"), name = document.createElement("b"), where = document.createElement("small");
    item.id = "hit" + n;
    item.setAttribute("role", "option");
    a.href = root + row.to;
    a.tabIndex = -1;
    name.textContent = row.heading || row.page;
    where.textContent = row.heading === row.page ? "" : row.page;
    a.append(name, where, marked(row.text, terms));
    item.append(a);
    return item;
  }

  function show() {
    const terms = (input.value.toLowerCase().match(/[\p{L}\p{N}_.:-]+/gu) || []).map(begins);
    list.hidden = !terms.length || !rows;
    input.setAttribute("aria-expanded", String(!list.hidden));
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    if (list.hidden) return;
    const hits = rows.map((r) => [points(r, terms), r]).filter(([p]) => p > 0).sort((a, b) => b[0] - a[0]).slice(0, 20);
    if (!hits.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "Nothing has all of these words.";
      list.replaceChildren(none);
      return;
    }
    list.replaceChildren(...hits.map(([, r], n) => line(r, terms, n)));
  }

  function choose(n) {
    const items = [...list.querySelectorAll("[role=option]")];
    if (!items.length) return;
    chosen = (n + items.length) % items.length;
    items.forEach((x, i) => x.setAttribute("aria-selected", String(i === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[chosen].id);
  }

  input.addEventListener("focus", load);
  input.addEventListener("input", () => { load(); show(); });
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") choose(chosen + 1);
    else if (e.key === "ArrowUp") choose(chosen - 1);
    else if (e.key === "Enter") list.querySelectorAll("[role=option] a")[Math.max(chosen, 0)]?.click();
    else if (e.key === "Escape") { input.value = ""; show(); input.blur(); }
    else return;
    e.preventDefault();
  });
  document.addEventListener("click", (e) => { if (!e.target.closest(".search")) list.hidden = true; });
  document.addEventListener("keydown", (e) => {
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && e.target.tagName !== "INPUT") { e.preventDefault(); input.focus(); }
  });
})();
