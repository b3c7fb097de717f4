// Keeps the page of runs up to date. Every part of <main> whose markup has changed is replaced; the others, and with them the
// reader's place, selection and open samples, stay as they are.
"use strict";
(() => {
  const PAUSE = 1000;
  const SCROLLED = ".scroll, pre";
  const FOCUSED = "summary, input, a, [tabindex]";
  // What the reader may have before his eyes in a part that is taller than his window.
  const SEEN = "details, tr, .panels > svg";
  const main = document.querySelector("main");
  const state = document.createElement("p");
  state.className = "live";
  state.setAttribute("role", "status");
  document.body.append(state);
  // This script keeps the reader's place; both would move him twice.
  document.documentElement.style.overflowAnchor = "none";
  const tell = (text) => { if (state.textContent !== text) state.textContent = text; };
  tell("live");

  // What each part is, whatever it says by now: its section, its element and how many of these come before it there. Samples
  // are those of a run, whichever runs have some.
  const namesOf = (parts) => {
    let section = "";
    const counts = new Map();
    return parts.map((part) => {
      if (part.localName === "h2") section = part.textContent;
      const run = part.matches(".samples") ? part.lastElementChild.textContent.split(/[.;]/)[0] : "";
      const name = [section, part.localName, run].join("/");
      const count = counts.get(name) ?? 0;
      counts.set(name, count + 1);
      return `${name}/${count}`;
    });
  };

  // The parts by their names, with their markup as the server sent it: the reader changes it by opening what is folded.
  const parts = Array.from(main.children);
  const names = namesOf(parts);
  let known = new Map(parts.map((part, index) => [names[index], { part, sent: part.outerHTML }]));
  let tag = null;

  const isSelected = (part) => {
    const selection = getSelection();
    return selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
  };

  // Puts a part in the place of an older one, with what the reader has opened, chosen, scrolled to and focused in it.
  const replace = (old, fresh) => {
    const both = (query, act) => {
      const before = Array.from(old.querySelectorAll(query));
      fresh.querySelectorAll(query).forEach((node, index) => { if (index < before.length) act(before[index], node); });
    };
    const scrolled = Array.from(old.querySelectorAll(SCROLLED), (node) => [node.scrollLeft, node.scrollTop]);
    const focused = Array.from(old.querySelectorAll(FOCUSED)).indexOf(document.activeElement);
    both("details", (before, node) => { node.open = before.open; });
    both("input", (before, node) => { node.checked = before.checked; });
    old.replaceWith(fresh);
    fresh.querySelectorAll(SCROLLED).forEach((node, index) => { if (scrolled[index]) node.scrollTo(...scrolled[index]); });
    if (focused >= 0) fresh.querySelectorAll(FOCUSED)[focused]?.focus({ preventScroll: true });
  };

  const isBelowTop = (node) => node.getBoundingClientRect().bottom > 0;

  // Where the reader is: the name of the first part in his window, which of its pieces, and how high that stands.
  const whereReaderIs = () => {
    const [name, { part }] = Array.from(known).find(([, { part }]) => isBelowTop(part)) ?? [null, { part: main }];
    const index = name === null ? -1 : Array.from(part.querySelectorAll(SEEN)).findIndex(isBelowTop);
    return { name, index, top: heightOf(part, index) };
  };
  const heightOf = (part, index) => (part.querySelectorAll(SEEN)[index] ?? part).getBoundingClientRect().top;

  // Puts in what is new. Returns whether something must wait because it is selected.
  const show = (text) => {
    const fresh = Array.from(new DOMParser().parseFromString(text, "text/html").querySelector("main").children);
    const names = namesOf(fresh);
    const reader = whereReaderIs();
    let waits = false;
    const shown = new Map();
    for (const [name, { part }] of known) if (!names.includes(name)) part.remove();
    let place = main.firstElementChild;
    fresh.forEach((newer, index) => {
      const old = known.get(names[index]);
      let now = { part: newer, sent: newer.outerHTML };
      if (old !== undefined && (old.sent === now.sent || isSelected(old.part))) {
        waits ||= old.sent !== now.sent;
        now = old;
      } else if (old !== undefined) {
        if (place === old.part) place = newer;
        replace(old.part, newer);
      }
      if (place === now.part) {
        place = place.nextElementSibling;
      } else {
        main.insertBefore(now.part, place);
      }
      shown.set(names[index], now);
    });
    known = shown;
    const part = known.get(reader.name)?.part;
    if (part !== undefined) scrollBy({ top: heightOf(part, reader.index) - reader.top, behavior: "instant" });
    return waits;
  };

  const ask = async () => {
    try {
      const headers = tag === null ? {} : { "If-None-Match": tag };
      const answer = await fetch("/report.html", { headers, cache: "no-store" });
      if (answer.status === 200) {
        const waits = show(await answer.text());
        // What the reader has selected is replaced when he lets go of it.
        tag = waits ? null : answer.headers.get("ETag");
      }
      if (answer.headers.get("eurus-complete") === "1" && tag !== null) {
        tell("complete");
        return;
      }
      tell("live");
    } catch {
      tell("the server is gone");
    }
    setTimeout(ask, PAUSE);
  };
  setTimeout(ask, PAUSE);
})();
