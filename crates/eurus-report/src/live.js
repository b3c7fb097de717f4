// Keeps the page of runs up to date. Every part of <main> whose markup has changed is replaced; the others, and with them the
// reader's place, selection and open samples, stay as they are.
"use strict";
(() => {
  const PAUSE = 1000;
  const SCROLLED = ".scroll, pre";
  const FOCUSED = "summary, input, a, [tabindex]";
  const main = document.querySelector("main");
  const state = document.createElement("p");
  state.className = "live";
  state.setAttribute("role", "status");
  document.body.append(state);
  const tell = (text) => { if (state.textContent !== text) state.textContent = text; };
  tell("live");

  // As the server sent them: the reader changes what is in the page by opening it.
  let sent = Array.from(main.children, (part) => part.outerHTML);
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

  const show = (text) => {
    const fresh = Array.from(new DOMParser().parseFromString(text, "text/html").querySelector("main").children);
    const markup = fresh.map((part) => part.outerHTML);
    const anchor = Array.from(main.children).findIndex((part) => part.getBoundingClientRect().bottom > 0);
    const before = anchor < 0 ? 0 : main.children[anchor].getBoundingClientRect().top;
    let waits = false;
    for (let index = 0; index < fresh.length; index += 1) {
      const part = main.children[index];
      if (part === undefined) {
        main.append(fresh[index]);
      } else if (markup[index] !== sent[index] && !part.hasAttribute("data-block")) {
        if (isSelected(part)) {
          waits = true;
          markup[index] = sent[index];
        } else {
          replace(part, fresh[index]);
        }
      }
    }
    while (main.children.length > fresh.length) main.lastElementChild.remove();
    sent = markup;
    const now = main.children[anchor]?.getBoundingClientRect().top;
    if (now !== undefined && now !== before) scrollBy({ top: now - before, behavior: "instant" });
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
